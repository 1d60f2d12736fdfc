"""Model cards: what a network is, what it was trained on, how good it is, what it cannot do.

The header is YAML as the Hugging Face Hub reads it (https://huggingface.co/docs/hub/model-cards):
licence, library, tags, and the errors as a ``model-index``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from cvsegguide.models.base import LocalizationModel
from cvsegguide.models.registry import to_config

TAGS = ("geo-localisation", "cross-view", "remote-sensing", "land-cover")
PLACE = "path/or/owner/name"
"""What the card calls the place of the weights until they have one."""

_LICENSES = frozenset(
    (
        *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "mpl-2.0", "unlicense"),
        *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "odbl"),
        *("gpl-3.0", "lgpl-3.0", "agpl-3.0", "openrail", "unknown", "other"),
    )
)
"""Words that the Hub knows; any other licence is ``other`` with a name."""


def model_card(model: LocalizationModel, facts: Mapping[str, Any]) -> str:
    """The text of the model card.

    Args:
        model: The network.
        facts: Headings and their texts, in this order. Four keys are not headings: ``license``
            (a word of the Hub's list or any other name; unknown when absent), ``license_link``,
            ``tags`` (further ones), and ``results``, a list of ``{"dataset": name, "metrics":
            {name: number}}``. Where ``Limits`` is not among them, the limits that follow from the
            network itself are stated.
    """
    facts = dict(facts)
    config = to_config(model)
    name = str(config["model"])
    header = _header(name, facts)
    results: Sequence[Mapping[str, Any]] = facts.pop("results", [])
    for key in ("license", "license_link", "tags"):
        facts.pop(key, None)
    facts.setdefault("Limits", _limits(model))
    count = sum(value.numel() for value in model.parameters())
    height, width = model.overhead_size
    street_height, street_width = model.street_size
    lines = [
        "---",
        header,
        "---",
        f"# CVSegGuide: {name}",
        "",
        f"- {count / 1e6:.1f} million parameters, guidance: {model.guidance}, "
        f"variant: {config.get('variant', '-')}",
        f"- overhead {height} x {width} pixels at {model.gsd} m per pixel",
        f"- street view {street_height} x {street_width} pixels spanning "
        f"{model.street_extent[0]:g} x {model.street_extent[1]:g} degrees",
        f"- land-cover channels: {', '.join(model.channels)}",
        "",
    ]
    for result in results:
        lines += [f"## Errors on {result['dataset']}", "", "| figure | value |", "|---|---|"]
        lines += [f"| {what} | {value:.4g} |" for what, value in result["metrics"].items()]
        lines.append("")
    for heading, text in facts.items():
        lines += [f"## {heading}", "", str(text), ""]
    lines += [
        "## Use",
        "",
        "```python",
        "import cvsegguide",
        "",
        f'localizer = cvsegguide.Localizer.from_pretrained("{PLACE}")',
        "```",
        "",
    ]
    return "\n".join(lines)


def _header(name: str, facts: Mapping[str, Any]) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    license_name = str(facts.get("license") or "unknown")
    known = license_name.lower() in _LICENSES
    evaluated = [
        EvalResult(
            task_type="other",
            task_name="cross-view geo-localisation",
            dataset_type=_slug(result["dataset"]),
            dataset_name=str(result["dataset"]),
            metric_type=_slug(what),
            metric_name=what,
            metric_value=float(value),
        )
        for result in facts.get("results", [])
        for what, value in result["metrics"].items()
    ]
    data = ModelCardData(
        license=license_name.lower() if known else "other",
        license_name=None if known else _slug(license_name),
        license_link=facts.get("license_link"),
        library_name="cvsegguide",
        tags=list(dict.fromkeys([*TAGS, *facts.get("tags", [])])),
        model_name=name if evaluated else None,
        eval_results=evaluated or None,
    )
    return str(data.to_yaml()).strip()


def _slug(text: str) -> str:
    words = "".join(char if char.isalnum() or char == "." else " " for char in text.lower())
    return "-".join(words.split()) or "unknown"


def _limits(model: LocalizationModel) -> str:
    side = " x ".join(f"{pixels * model.gsd:.0f}" for pixels in model.overhead_size)
    guided = {
        "truth": " It needs the land cover of the overhead image as an input.",
        "none": " It does not use land cover to localise.",
    }.get(model.guidance, "")
    return (
        f"Overhead images cover {side} m at {model.gsd} m per pixel; the camera has to stand in "
        "them. Street views are equirectangular and level. Places, seasons and cameras unlike "
        f"those of the training data have not been measured.{guided}"
    )
