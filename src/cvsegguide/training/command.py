"""``fit``, ``validate``, ``test`` and ``predict`` through LightningCLI.

What surrounds it: :mod:`options`, :mod:`construction` of data sets, :mod:`runs` for the folder,
:mod:`trainers`, and for what is written at the end :mod:`outcome` and :mod:`reports`.
"""

from typing import Any

from jsonargparse import ArgumentError
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from cvsegguide.data.configurations import SPLITS, as_list
from cvsegguide.data.datamodule import DataModule
from cvsegguide.errors import CheckpointError, ConfigurationError
from cvsegguide.models.class_path import add_working_directory
from cvsegguide.progress import enabled
from cvsegguide.training.callbacks.record import RunRecord
from cvsegguide.training.checkpoint_io import AtomicCheckpointIO
from cvsegguide.training.construction import FaultFindingParser, explain_missing_test, find_cause
from cvsegguide.training.module import LocalizationTask
from cvsegguide.training.options import (
    LAST,
    SUBCOMMANDS,
    TRAINER_ARGUMENTS,
    TRAINER_DEFAULTS,
    add_config_option,
    add_own_options,
    add_saving_options,
    data_sets_needed,
    usage,
)
from cvsegguide.training.outcome import export
from cvsegguide.training.runs import Run, find_place, load_task_weights, one_line
from cvsegguide.training.trainers import automatic_precision, default_callbacks, default_logger


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
            parser_class=FaultFindingParser,
            trainer_defaults=dict(TRAINER_DEFAULTS),
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
        return TRAINER_ARGUMENTS

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """A parser whose help begins with the options that people need."""
        parser: LightningArgumentParser = self.parser_class(**kwargs)
        add_config_option(parser)
        return parser

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        summary, _ = SUBCOMMANDS[subcommand]
        parser = self.init_parser(**{**kwargs, "description": summary, "usage": usage(subcommand)})
        add_own_options(parser, subcommand)
        self._add_arguments(parser)
        self._subcommand_method_arguments[subcommand] = []
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Options that every sub-command knows, so that one YAML file serves all."""
        for target in ("model.seed", "data.seed"):
            parser.link_arguments("seed_everything", target, compute_fn=int)
        add_saving_options(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse what the caller gave, whatever ``sys.argv`` says.

        A class that the configuration names may lie in the working directory.
        """
        try:
            self.config = parser.parse_args(args)
        except ArgumentError:
            if not add_working_directory():
                raise
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
        self.out, self.weights = find_place(str(self.subcommand), self.options, self.argv)

    def instantiate_classes(self) -> None:
        """Make the model, the data sets that the sub-command opens, and the trainer.

        Raises:
            CVSegGuideError: What a data set or a transform finds fault with. jsonargparse wraps
                it in an error of its own, which is opened here.
        """
        data, needed = self.options.data, data_sets_needed(str(self.subcommand), self.options)
        idle = {
            name: data[name] for name in SPLITS if name not in needed and data.get(name) is not None
        }
        for name in idle:
            data[name] = None
        try:
            super().instantiate_classes()
        except ValueError as error:
            parsers = (self.parser, self._parser(self.subcommand))
            faults = [fault for parser in parsers for fault in getattr(parser, "faults", ())]
            fault = faults[0] if faults else find_cause(error)
            if fault is None:
                raise
            raise explain_missing_test(fault, self.options, needed) from None
        finally:
            for name, dataset in idle.items():
                data[name] = dataset

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer with this project's callbacks, logger and precision."""
        config = {**dict(self._get(self.config_init, "trainer", default={})), **kwargs}
        config["default_root_dir"] = str(self.out)
        if config.get("precision") is None:
            config["precision"] = automatic_precision(str(config.get("accelerator", "auto")))
        fit = self.subcommand == "fit"
        if config.get("logger") in (None, True):
            config["logger"] = default_logger(self.out) if fit else False
        config["plugins"] = [*as_list(config.get("plugins")), AtomicCheckpointIO()]
        own = default_callbacks(str(self.subcommand), self.options, config, self.out)
        if fit:
            parser = self._parser(self.subcommand)
            own.append(RunRecord(parser, self.options, str(self.out), self.argv))
        config["callbacks"] = [*as_list(config.get("callbacks")), *own]
        config["enable_checkpointing"] = fit
        config["enable_model_summary"] = False
        if config.get("enable_progress_bar") is None:
            config["enable_progress_bar"] = enabled()
        try:
            return self.trainer_class(**config)
        except (ValueError, TypeError, ImportError, RuntimeError) as error:
            # Lightning raises all of these for a device, precision or strategy that is not there.
            raise ConfigurationError(one_line(error), parameter="trainer") from None

    # -- running ----------------------------------------------------------------------------

    def _run_subcommand(self, subcommand: str) -> None:
        if self.weights is not None:
            load_task_weights(self.model, self.weights)
        own = (self.options, self.argv, self.out, self.model, self.trainer, self.datamodule)
        run = Run(subcommand, *own)
        if subcommand == "fit":
            self._fit()
            if self.trainer.is_global_zero:
                export(run)
            return
        from cvsegguide.training.reports import report, report_rows, write_sweep  # figures

        if subcommand == "predict":
            self.trainer.predict(self.model, datamodule=run.datamodule, return_predictions=False)
            if self.trainer.is_global_zero:
                report_rows(run)
            return
        evaluate = self.trainer.test if subcommand == "test" else self.trainer.validate
        if subcommand == "validate":
            self.model.validation = self.model.evaluation
        evaluate(self.model, datamodule=run.datamodule, verbose=False)
        if self.trainer.is_global_zero:
            report(run)
        if subcommand == "test" and self.options.sweep:
            write_sweep(run, self.instantiate_trainer)

    def _fit(self) -> None:
        last = self.out / LAST
        resumed = str(last) if self.options.resume and last.exists() else None
        try:
            self.trainer.fit(self.model, datamodule=self.datamodule, ckpt_path=resumed)
        except RuntimeError as error:
            if resumed and "loading state_dict" in str(error):
                raise CheckpointError(
                    f"{last}: is of another network ({one_line(error)})"
                ) from None
            raise
