"""``fit``, ``validate``, ``test`` and ``predict``: LightningCLI, its files and its defaults."""

import importlib.util
import json
from argparse import SUPPRESS
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from cvsegguide import console
from cvsegguide.data.base import CrossViewDataset
from cvsegguide.data.datamodule import DataModule
from cvsegguide.data.transforms import Transform
from cvsegguide.errors import (
    CheckpointError,
    ConfigurationError,
    CVSegGuideError,
    DatasetError,
)
from cvsegguide.io.atomic import atomic_path, write_text
from cvsegguide.progress import enabled
from cvsegguide.training.callbacks import EMA, EpochLines, LastCheckpoint, PredictionTable
from cvsegguide.training.callbacks.record import RECORD, RunRecord, describe_machine
from cvsegguide.training.callbacks.resume import LAST
from cvsegguide.training.checkpoint_io import AtomicCheckpointIO, read_checkpoint
from cvsegguide.training.module import MONITOR, LocalizationTask

BEST = "best.ckpt"
SUBCOMMANDS = {
    "fit": ("Train a model.", ("train", "val")),
    "validate": ("Evaluate a model on the data set `val`.", ("val",)),
    "test": ("Evaluate a model on the data set `test`.", ("test",)),
    "predict": (
        "Localise every pair of the data set `predict`, or of `test` where there is none.",
        ("predict", "test"),
    ),
}
"""What each sub-command does, and which data sets it opens."""

_DEFAULTS = {
    "max_epochs": 100,
    "gradient_clip_val": 1.0,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 10,
    "use_distributed_sampler": False,
}


class Command(LightningCLI):
    """Parses ``[subcommand, options...]`` and runs it.

    Args:
        argv: Sub-command and options.
        given: The same as the user wrote it, for the record.
    """

    def __init__(self, argv: list[str], given: list[str] | None = None) -> None:
        self.argv = list(argv if given is None else given)
        quiet = {"exit_on_error": False, "allow_abbrev": False}
        super().__init__(
            LocalizationTask,
            DataModule,
            save_config_callback=None,
            trainer_defaults=dict(_DEFAULTS),
            seed_everything_default=0,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            parser_kwargs={
                "prog": "cvsegguide",
                **quiet,
                **{name: dict(quiet) for name in SUBCOMMANDS},
            },
            args=argv,
        )

    # -- options ----------------------------------------------------------------------------

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Sub-commands and which arguments of the trainer's methods are ours to give."""
        ours = {"model", "datamodule", "ckpt_path", "weights_only", "verbose"}
        return {
            "fit": {*ours, "train_dataloaders", "val_dataloaders"},
            "validate": {*ours, "dataloaders"},
            "test": {*ours, "dataloaders"},
            "predict": {*ours, "dataloaders", "return_predictions"},
        }

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """A parser whose help begins with the options that people need."""
        parser: LightningArgumentParser = self.parser_class(**kwargs)
        parser.add_argument(
            "-c",
            "--config",
            action=ActionConfigFile,
            metavar="NAME",
            help="A YAML file (config.yaml of a run, for one), or the name of a bundled "
            "configuration such as mst-small-synthcity.",
        )
        return parser

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        summary, _ = SUBCOMMANDS[subcommand]
        own = "[--resume]" if subcommand == "fit" else "--weights RUN"
        own += {"test": " [--sweep]", "predict": " [--pairs TABLE]"}.get(subcommand, "")
        parser = self.init_parser(
            **{
                **kwargs,
                "description": summary,
                "usage": f"cvsegguide {subcommand} --config NAME [--root DIR] [--out DIR] {own} "
                "[--option value ...]",
            }
        )
        parser.add_argument(
            "--root",
            type=str | None,
            default=SUPPRESS,
            metavar="DIR",
            help="Folder of the data, for every data set of the configuration.",
        )
        parser.add_argument(
            "--out",
            type=str | None,
            default=None,
            metavar="DIR",
            help="Folder of the run or of the results (default: runs/NAME after the configuration; "
            "for results a folder inside that of the weights).",
        )
        if subcommand == "fit":
            parser.add_argument(
                "--resume",
                action="store_true",
                help=f"Go on from {LAST} in the folder of the run where there is one.",
            )
        else:
            parser.add_argument(
                "--weights",
                type=str | None,
                default=None,
                metavar="RUN",
                help="What to evaluate: folder of a run, its .ckpt, or anything that "
                "Localizer.from_pretrained reads (default: the run whose config.yaml is given).",
            )
        if subcommand in ("test", "validate"):
            parser.add_argument(
                "--no-pictures",
                action="store_true",
                help="Leave the pictures out of report.html and report.md.",
            )
        if subcommand == "predict":
            parser.add_argument(
                "--pairs",
                type=str | None,
                default=SUPPRESS,
                metavar="TABLE",
                help="The pairs to localise: a manifest, CSV or (Geo)Parquet, whose rows need not "
                "say where the camera stood.",
            )
        if subcommand == "test":
            parser.add_argument(
                "--sweep",
                action="store_true",
                help="Also measure narrower views and worse headings.",
            )
        self._add_arguments(parser)
        self._subcommand_method_arguments[subcommand] = []
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Options that every sub-command knows, so that one YAML file serves all."""
        for target in ("model.seed", "data.seed"):
            parser.link_arguments("seed_everything", target, compute_fn=int)
        group = parser.add_argument_group("averaging and saving")
        group.add_argument(
            "--ema",
            type=float,
            default=0.999,
            help="Decay of the moving average of the weights; 0 for none.",
        )
        group.add_argument(
            "--save_every_minutes",
            type=float,
            default=10.0,
            help=f"How often {LAST} is written within an epoch; 0 for never.",
        )
        group.add_argument(
            "--save_every_steps",
            type=int,
            default=0,
            help=f"Steps after which {LAST} is written within an epoch; 0 for never.",
        )
        group.add_argument(
            "--feature_cache",
            type=str | None,
            default=None,
            metavar="DIR",
            help="Folder that `fit` keeps the features of a frozen backbone in, to compute them "
            "once; only without image augmentation other than Rotate and Mirror.",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse what the caller gave, whatever ``sys.argv`` says."""
        self.config = parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        """Checkpoints do not change the configuration."""

    # -- instances --------------------------------------------------------------------------

    @property
    def options(self) -> Any:
        """The options of the chosen sub-command."""
        return self.config[self.subcommand]

    def before_instantiate_classes(self) -> None:
        """Find the folder and the weights."""
        options = self.options
        if options.get("root") is not None:
            raise ConfigurationError("root: belongs on the command line, --root DIR")
        if options.get("pairs") is not None:
            raise ConfigurationError("pairs: belongs on the command line, --pairs TABLE")
        self.weights: Path | None = None
        run = self._run_folder()
        if self.subcommand == "fit":
            self.out = Path(options.out or run or Path("runs") / self._name())
            if (self.out / LAST).exists() and not options.resume:
                raise ConfigurationError(
                    f"{self.out}: holds a run already: --resume goes on with it, another --out "
                    "starts afresh"
                )
            return
        source = options.weights
        if source is None and options.model.weights is None and run is not None:
            source = options.weights = str(run)
        if source is None and options.model.weights is None:
            raise ConfigurationError(
                f"--weights: say which weights to {self.subcommand} (folder of a run, .ckpt, or a "
                "name)"
            )
        home = Path("results") / self._name()
        if source is not None:
            path = Path(source)
            if path.is_dir() and not (path / "model.safetensors").exists():
                found = [path / name for name in (BEST, LAST) if (path / name).exists()]
                if not found:
                    raise CheckpointError(
                        f"{path}: holds neither model.safetensors nor {BEST} nor {LAST}"
                    )
                path = found[0]
            if path.suffix == ".ckpt":
                if not path.is_file():
                    raise CheckpointError(f"{path}: there is no such checkpoint")
                self.weights = path
            else:
                options.model.weights = source
            if Path(source).exists():
                home = (Path(source) if Path(source).is_dir() else Path(source).parent) / str(
                    self.subcommand
                )
        self.out = Path(options.out or home)

    def _config_file(self) -> Path | None:
        configs = self.options.get("config") or []
        return Path(str(getattr(configs[0], "relative", configs[0]))) if configs else None

    def _name(self) -> str:
        path = self._config_file()
        return path.stem if path else "run"

    def _run_folder(self) -> Path | None:
        """The folder of the run whose saved configuration was given, or None."""
        path = self._config_file()
        return path.parent if path and (path.parent / RECORD).exists() else None

    def instantiate_classes(self) -> None:
        """Make the model, the data sets that the sub-command opens, and the trainer.

        Raises:
            CVSegGuideError: What a data set or a transform finds fault with. jsonargparse wraps
                it in an error of its own, which is opened here.
        """
        data, needed = self.options.data, self._needed()
        idle = {
            name: data[name]
            for name in ("train", "val", "test", "predict")
            if name not in needed and data.get(name) is not None
        }
        faults: list[CVSegGuideError] = []

        def make(kind: type, *args: Any, **kwargs: Any) -> Any:
            # Of several types that a value may have, jsonargparse keeps the first one's error.
            try:
                return kind(*args, **kwargs)
            except CVSegGuideError as error:
                faults.append(error)
                raise

        for kind in (CrossViewDataset, Transform):
            self._parser(self.subcommand).add_instantiator(make, kind, subclasses=True)
        for name in idle:
            data[name] = None
        try:
            super().instantiate_classes()
        except ValueError as error:
            fault = faults[0] if faults else _cause(error)
            if fault is None:
                raise
            raise self._explained(fault) from None
        finally:
            for name, dataset in idle.items():
                data[name] = dataset

    def _needed(self) -> tuple[str, ...]:
        """The data sets that the sub-command opens."""
        _, names = SUBCOMMANDS[str(self.subcommand)]
        if self.subcommand == "predict":
            return names[:1] if self.options.data.get("predict") is not None else names[1:]
        return names

    def _explained(self, fault: CVSegGuideError) -> CVSegGuideError:
        """Says how the test city of a SynthCity comes about when it is what is missing."""
        for entry in _listed(self.options.data.get("test")):
            root = (entry.get("init_args") or {}).get("root")
            if root is None or "test" not in self._needed():
                continue
            folder = Path(root)
            if folder.name == "test" and str(fault).startswith(f"{folder}: no such folder"):
                return DatasetError(
                    f"{folder}: no such folder: the test city is made together with the others, "
                    f"`cvsegguide synth {folder.parent} --tiles N --validation N --test N`; "
                    "--data.test.root DIR names another"
                )
        return fault

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer with this project's callbacks, logger and precision."""
        config = {**dict(self._get(self.config_init, "trainer", default={})), **kwargs}
        config["default_root_dir"] = str(self.out)
        if config.get("precision") is None:
            config["precision"] = automatic_precision(str(config.get("accelerator", "auto")))
        fit = self.subcommand == "fit"
        if config.get("logger") in (None, True):
            config["logger"] = _logger(self.out) if fit else False
        config["plugins"] = [*_listed(config.get("plugins")), AtomicCheckpointIO()]
        config["callbacks"] = [*_listed(config.get("callbacks")), *self._callbacks(config)]
        config["enable_checkpointing"] = fit
        config["enable_model_summary"] = False
        if config.get("enable_progress_bar") is None:
            config["enable_progress_bar"] = enabled()
        try:
            return self.trainer_class(**config)
        except (ValueError, TypeError, ImportError, RuntimeError) as error:
            # Lightning raises all of these for a device, precision or strategy that is not there.
            raise ConfigurationError(f"trainer: {_short(error)}") from None

    def _callbacks(self, config: Mapping[str, Any]) -> list[Callback]:
        options = self.options
        callbacks: list[Callback] = []
        if enabled() and config.get("enable_progress_bar") is not False:
            from lightning.pytorch.callbacks import RichProgressBar

            callbacks.append(RichProgressBar(leave=True, console_kwargs={"stderr": True}))
        if self.subcommand in ("test", "predict"):
            return [*callbacks, PredictionTable(str(self.out))]
        if self.subcommand != "fit":
            return callbacks
        if not enabled():
            callbacks.append(EpochLines())
        if config["logger"]:
            callbacks.append(LearningRateMonitor("step"))
        if options.ema:
            callbacks.append(EMA(options.ema))
        if options.feature_cache is not None:
            from cvsegguide.training.feature_cache import CachedFeatures

            callbacks.append(CachedFeatures(options.feature_cache))
        callbacks.append(
            ModelCheckpoint(
                dirpath=str(self.out),
                filename=Path(BEST).stem,
                monitor=MONITOR,
                mode="min",
                save_top_k=1,
                enable_version_counter=False,
                save_on_train_epoch_end=False,
            )
        )
        callbacks.append(
            LastCheckpoint(str(self.out), options.save_every_minutes, options.save_every_steps)
        )
        parser = self._parser(self.subcommand)
        callbacks.append(RunRecord(parser, options, str(self.out), self.argv))
        return callbacks

    # -- running ----------------------------------------------------------------------------

    def _run_subcommand(self, subcommand: str) -> None:
        if self.weights is not None:
            load_task_weights(self.model, self.weights)
        data = self.datamodule
        if subcommand == "fit":
            self._fit()
            return
        if subcommand == "predict":
            self.trainer.predict(self.model, datamodule=data, return_predictions=False)
            if self.trainer.is_global_zero:
                self._report_rows()
            return
        evaluate = self.trainer.test if subcommand == "test" else self.trainer.validate
        if subcommand == "validate":
            self.model.validation = self.model.evaluation
        evaluate(self.model, datamodule=data, verbose=False)
        if self.trainer.is_global_zero:
            self._report()
        if subcommand == "test" and self.options.sweep:
            self._sweep()

    def _sweep(self) -> None:
        from cvsegguide.evaluation.report import markdown_table, print_one
        from cvsegguide.evaluation.sweeps import Degraded, conditions, sweep_table
        from cvsegguide.viz.report import draw_sweep, rendered

        whole = _listed(self.datamodule.datasets["test"])
        results: dict[str, Any] = {}
        trainer: Any = self.instantiate_trainer()
        trainer.callbacks = [
            callback for callback in trainer.callbacks if not isinstance(callback, PredictionTable)
        ]
        for name, condition in conditions().items():
            self.datamodule.datasets["test"] = [
                Degraded(part, condition.transforms) for part in whole
            ]
            self.model.heading_error = condition.heading_error
            trainer.test(self.model, datamodule=self.datamodule, verbose=False)
            results[name] = self.model.figures
        if trainer.is_global_zero:
            table = sweep_table(results)
            write_text(self.out / "sweep.json", json.dumps(results, indent=2) + "\n")
            write_text(self.out / "sweep.md", markdown_table(*table) + "\n")
            with atomic_path(self.out / "sweep.png") as temporary:
                temporary.write_bytes(rendered(draw_sweep(results), dpi=150))
            if not console.settings.json:
                print_one("Field of view and heading", table)

    def _fit(self) -> None:
        last = self.out / LAST
        resumed = str(last) if self.options.resume and last.exists() else None
        try:
            self.trainer.fit(self.model, datamodule=self.datamodule, ckpt_path=resumed)
        except RuntimeError as error:
            if resumed and "loading state_dict" in str(error):
                raise CheckpointError(f"{last}: is of another network ({_short(error)})") from None
            raise
        if self.trainer.is_global_zero:
            self._export()

    def _export(self) -> None:
        from cvsegguide.models.hub import save_model

        best = self.out / BEST
        figures: dict[str, Any] = {}
        if best.exists():
            load_task_weights(self.model, best)
            score = self.trainer.checkpoint_callback.best_model_score  # type: ignore[union-attr]
            if score is not None:
                metrics = {"median error (m)": float(score)}
                name = f"{_data_name(self.options, 'val')}, validation"
                figures["results"] = [{"dataset": name, "metrics": metrics}]
        figures.update(self._calibrated())
        machine = describe_machine(self.argv)
        card = {
            "Training data": _data_name(self.options, "train"),
            "Command": f"`{' '.join(machine['command'])}`",
            "Seed": int(self.options.seed_everything),
            "Revision": machine["git"],
            "Hardware": ", ".join(machine["gpus"]) or f"CPU, {machine['threads']} threads",
            "Training": f"{self.trainer.current_epoch} epochs, {self.trainer.global_step} steps",
            "Losses": str(self.options.model.losses),
            **figures,
        }
        save_model(self.model.network, self.out, card)
        kind = "best" if best.exists() else "last"
        path = self.out / "model.safetensors"
        console.note(f"{kind} weights: {path}")
        if console.settings.json:
            console.show(
                {"weights": str(path), "kind": kind, "steps": self.trainer.global_step, **figures}
            )

    def _calibrated(self) -> dict[str, str]:
        """Set the network's temperature by the validation data; what the card says of it."""
        from cvsegguide.training.calibration import calibrate, log_posteriors

        if not self.datamodule.datasets["val"]:
            return {}
        try:
            batches = log_posteriors(self.model, self.datamodule.val_dataloader())
            found = calibrate(self.model.network, batches)
        except ConfigurationError:  # a network without temperature
            return {}
        if found is None:
            return {}
        return {
            "Calibration": f"log-probabilities times {found.factor:.3g}, from {found.samples} "
            f"validation samples: mean difference between coverage and mass {found.before:.3f} "
            f"before, {found.after:.3f} after"
        }

    def _report_rows(self) -> None:
        from pyarrow.parquet import read_metadata

        path = self.out / "predictions.parquet"
        (split,) = self._needed()
        name = _data_name(self.options, split)
        rows = read_metadata(path).num_rows
        console.done(
            f"{path}: {rows} rows, of data.{split} ({name})",
            {
                "table": str(path),
                "geojson": str(path.with_suffix(".geojson")),
                "rows": rows,
                "split": split,
                "data": name,
            },
        )

    def _report(self) -> None:
        from cvsegguide.evaluation.report import print_table
        from cvsegguide.evaluation.report_files import write_report

        source = self.options.weights or self.options.model.weights
        split = "val" if self.subcommand == "validate" else "test"
        content = {
            "weights": str(source),
            "data": _data_name(self.options, split),
            "split": split,
            **describe_machine(self.argv),
            **self.model.figures,
        }
        write_text(self.out / "metrics.json", json.dumps(content, indent=2) + "\n")
        pictures, note = self._pictures(content)
        report, _ = write_report(self.out, content, pictures, note)
        if console.settings.json:
            console.show(content)
        else:
            print_table(content)
        console.note(f"written to {self.out} (the report: {report})")

    def _pictures(self, content: dict[str, Any]) -> tuple[list[Any], str]:
        """Pictures of the report, or why there are none."""
        if self.options.no_pictures:
            return [], ""
        from cvsegguide.evaluation.report_pictures import run_pictures

        try:
            if self.subcommand != "test":
                return run_pictures(content), ""
            return run_pictures(
                content,
                self.out / "predictions.parquet",
                self.datamodule.dataset("test"),
                self.model.network.eval(),
                self.model.scheme,
            ), ""
        except CVSegGuideError as error:
            # What was measured is worth more than its pictures.
            return [], f"No pictures: {error}"


def _cause(error: BaseException) -> CVSegGuideError | None:
    """The error of ours that led to another one."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, CVSegGuideError):
        seen = seen.__cause__ or seen.__context__
    return seen


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def _data_name(options: Any, split: str) -> str:
    given = options.data.get(split)
    names = [str(entry.class_path).rsplit(".", 1)[-1] for entry in _listed(given) if entry]
    return ", ".join(names) or "unknown"


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def _logger(out: Path) -> Any:
    """TensorBoard where it is installed, CSV elsewhere; the files lie in the folder of the run."""
    if importlib.util.find_spec("tensorboard") is not None:
        from lightning.pytorch.loggers import TensorBoardLogger

        return TensorBoardLogger(str(out), name="", version="", default_hp_metric=False)
    from lightning.pytorch.loggers import CSVLogger

    return CSVLogger(str(out), name="", version="")


def automatic_precision(accelerator: str = "auto") -> str:
    """bf16 on GPUs that have it, fp16 on older ones, 32 bits elsewhere."""
    if accelerator not in ("auto", "gpu", "cuda") or not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


def load_task_weights(task: LocalizationTask, path: Path) -> None:
    """Put the network of a training checkpoint into a task.

    Raises:
        CheckpointError: The file is unusable, or of another network; names what differs.
    """
    prefix = "network."
    state = {
        name.removeprefix(prefix): value
        for name, value in read_checkpoint(path)["state_dict"].items()
        if name.startswith(prefix)
    }
    try:
        task.network.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: is of another network ({_short(error)})") from None
