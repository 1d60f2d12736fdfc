"""The page: what is asked on the left, the answer on the right, faults beside what caused them."""

import filecmp
import re
import shutil
import tempfile
from functools import lru_cache, partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd
from gradio.utils import get_upload_folder

from cvsegguide.app import answer
from cvsegguide.app.uploads import EXAMPLES, LABELS, Question
from cvsegguide.inference.localizer import Localizer
from cvsegguide.viz.localization import save_with_figure

# Layers change in the browser alone: nothing is sent.
_SHOW = """(...values) => ['posterior', 'landcover', 'zoom'].forEach(
  (name, place) => document.body.style.setProperty('--' + name, values[place]))"""
# No lens sees a panorama; 69 degrees are a phone's 26 mm.
_LENS = "(lens, fov) => (lens && fov > 150 ? 69 : fov)"


class Page(gr.Blocks):
    """The page, to be launched by ``cvsegguide app``; a model is chosen by its number."""

    def __init__(self, models: tuple[str, ...], device: str, pixels: int) -> None:
        super().__init__(title="CVSegGuide", analytics_enabled=False, delete_cache=(600, 3600))
        self._pixels = pixels
        self._folders: dict[str, set[Path]] = {}
        self._load = lru_cache(2)(lambda i: Localizer.from_pretrained(models[i], device=device))
        with self:
            gr.Markdown(
                "# CVSegGuide\nWhere in this aerial photograph was this street view taken? Your "
                "pictures stay on the machine that runs this page. Of 29 real places the bundled "
                "weights found half to 5 m: look at the area before you rely on the point.\n"
                "### Press an example, or bring your own"
            )
            with gr.Row():
                with gr.Column(scale=2, min_width=320):
                    self._lay_out_question(models)
                with gr.Column(scale=3, min_width=320):
                    self._lay_out_answer()
            self._wire()
        self.queue(max_size=16)

    def _lay_out_question(self, models: tuple[str, ...]) -> None:
        with gr.Row(elem_classes="examples"):
            self._examples = {
                name: gr.Button(example["title"], icon=example["thumbnail"], size="sm")
                for name, example in EXAMPLES.items()
            }
        angle = partial(gr.Slider, minimum=0, maximum=360, step=0.1)
        choices = [(Path(model).name or model, number) for number, model in enumerate(models)]
        kinds: dict[str, Any] = {
            "overhead": partial(gr.File, height=120),
            "street": partial(gr.File, height=120),
            "unknown": partial(gr.Checkbox, True),
            "heading": angle,
            "heading_error": partial(angle, maximum=180),
            "fov": partial(angle, minimum=1, value=360),
            "lens": gr.Checkbox,
            "model": partial(gr.Dropdown, choices, value=0),
            "gsd": partial(gr.Number, 0),
            "bounds": gr.Textbox,
        }
        self._fields: dict[str, Any] = {}
        self._slots: dict[str, gr.HTML] = {}
        for name, kind in kinds.items():
            self._fields[name] = kind(label=LABELS[name], elem_id=name, interactive=True)
            self._slots[name] = gr.HTML(visible=False, elem_id=f"fault-{name}")
        self._go = gr.Button("Find the camera", variant="primary", elem_id="go")
        self._slots["answer"] = gr.HTML(visible=False, elem_id="fault-answer")

    def _lay_out_answer(self) -> None:
        self._picture = gr.HTML("The answer is shown here.", elem_id="map")
        with gr.Column(visible=False) as self._result:
            controls = [
                gr.Slider(0, 1, 0.85, label="Opacity of the posterior", elem_id="posterior"),
                gr.Slider(0, 1, 0.35, label="Opacity of the land cover", elem_id="landcover"),
                gr.Slider(1, 8, 1, label="Zoom", elem_id="zoom"),
            ]
            gr.on([control.change for control in controls], None, [*controls], js=_SHOW)
            self._facts = gr.HTML(elem_id="facts")
            self._regions = gr.Dataframe(label="Regions", elem_id="regions")
            self._files = gr.Files(label="Downloads", interactive=False, elem_id="downloads")

    def _wire(self) -> None:
        fields, lens, fov = list(self._fields.values()), self._fields["lens"], self._fields["fov"]
        shown = [*self._slots.values(), self._picture, self._result]
        quiet: Any = {"inputs": fields, "outputs": shown, "show_progress": "hidden"}
        find: Any = {"fn": self._find, "inputs": fields, "concurrency_limit": 1}
        find |= {"outputs": [*shown, self._facts, self._regions, self._files]}
        events = [event for file in fields[:2] for event in (file.upload, file.clear)]
        events += [fields[-1].change, *(field.input for field in fields[2:-1] if field is not lens)]
        gr.on(events, self._look, trigger_mode="always_last", **quiet)
        lens.input(None, [lens, fov], fov, js=_LENS).then(self._look, **quiet)
        for name, button in self._examples.items():
            button.click(partial(_take, name), None, fields, show_progress="hidden").then(**find)
        self._go.click(**find)
        self.unload(self._leave)

    def _look(self, request: gr.Request, *values: Any) -> dict[Any, Any]:
        """Tell the faults that there are; what was answered before is not about this question."""
        asked = self._read(request, values)
        shown = asked.overhead and answer.draw_picture(asked.overhead, values[0])
        changes = {self._picture: shown or "", self._result: gr.update(visible=False)}
        return changes | self._tell(asked.faults)

    def _find(self, request: gr.Request, *values: Any) -> dict[Any, Any]:
        """Answer, or tell why not."""
        asked = self._read(request, values)
        for name in ("overhead", "street"):
            if not asked.values[name]:
                asked.faults[name] = "It is missing: drop one, or press an example"
        with asked.telling("model"):
            localizer = self._load(asked.values["model"])
        if not asked.faults:
            options = {name: asked.values[name] for name in ("heading", "heading_error", "fov")}
            if asked.values["unknown"]:
                options |= {"heading": None, "heading_error": 0.0}
            with asked.telling("answer"):
                result = localizer.localize(asked.overhead, asked.street, **options)
        if asked.faults:
            return self._tell(asked.faults)
        folder, truth = Path(tempfile.mkdtemp(dir=get_upload_folder())), _find_truth(asked)
        self._folders[str(request.session_hash)].add(folder)
        layers = answer.draw_layers(result, folder, truth)
        files = save_with_figure(result, folder / "result", truth)
        archive = shutil.make_archive(str(folder / "localisation"), "zip", files)
        regions = pd.DataFrame([region.to_dict() for region in result.regions])
        return self._tell({}) | {
            self._picture: answer.draw_picture(asked.overhead, values[0], layers),
            self._result: gr.update(visible=True),
            self._facts: answer.describe(result, files / "figure.png", truth),
            self._regions: regions.round(6),
            self._files: [archive, *sorted(str(path) for path in files.iterdir())],
        }

    def _leave(self, request: gr.Request) -> None:
        """Remove what a closed page brought, unless somebody else brought the same file."""
        own = self._folders.pop(str(request.session_hash), set())
        for folder in own - set().union(*self._folders.values()):
            shutil.rmtree(folder, ignore_errors=True)

    def _read(self, request: gr.Request, values: tuple[Any, ...]) -> Question:
        brought = {Path(path).parent for path in values[:2] if path}
        self._folders.setdefault(str(request.session_hash), set()).update(brought)
        return Question(values, self._pixels)

    def _tell(self, faults: dict[str, str]) -> dict[Any, Any]:
        """Each fault in its place, names of fields in it bold; no fault elsewhere."""
        shown = {}
        for name, slot in self._slots.items():
            words = re.sub(r"\*([^*]+)\*", r"<b>\1</b>", escape(faults.get(name, "")))
            text = f'<p class="fault" role="alert">{words}</p>'
            shown[slot] = gr.update(value=text, visible=name in faults)
        return shown


def _take(name: str) -> list[Any]:
    example = EXAMPLES[name]
    pictures = [str(example["overhead"]), str(example["street"])]
    heading = [example["heading"] is None, example["heading"] or 0, 0]
    return [*pictures, *heading, example["fov"], False, gr.skip(), 0, ""]


def _find_truth(asked: Question) -> tuple[float, float] | None:
    """Where the camera stood, ``(row, col)``, if this is an example."""
    for example in EXAMPLES.values():
        if all(filecmp.cmp(asked.values[k], example[k], False) for k in ("overhead", "street")):
            return example["row"], example["col"]
    return None
