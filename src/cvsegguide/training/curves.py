"""The curves of a run as CSV, gone on with when the run is."""

import os
from io import BytesIO

import pandas as pd
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from cvsegguide.io.atomic import atomic_path


class CurvesLogger(CSVLogger):
    """Lightning's ``CSVLogger``, which does not delete what a run that is resumed had written."""

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        """The writer of ``metrics.csv``."""
        if self._experiment is None:
            os.makedirs(self.root_dir, exist_ok=True)
            self._experiment = _Writer(log_dir=self.log_dir)
        return self._experiment  # type: ignore[return-value]


class _Writer(ExperimentWriter):
    """Appends; rows of steps that are taken again go with the first of these."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        self._begun = False

    def _check_log_dir_exists(self) -> None:
        """Leave what is there."""

    def log_metrics(self, metrics_dict: dict[str, float], step: int | None = None) -> None:
        """See Lightning's."""
        if not self._begun and step is not None:
            self._keep_before(step)
        self._begun = True
        super().log_metrics(metrics_dict, step)

    def _keep_before(self, step: int) -> None:
        if not os.path.isfile(self.metrics_file_path):
            return
        with open(self.metrics_file_path, "rb") as file:
            content = file.read()
        whole, _, _ = content.rpartition(b"\n")  # without a row that was cut off
        if not whole:
            return
        table = pd.read_csv(BytesIO(whole), dtype=str)
        before = table[pd.to_numeric(table["step"]) < step]
        with atomic_path(self.metrics_file_path) as temporary:
            before.to_csv(temporary, index=False, lineterminator="\r\n")
        self.metrics_keys = [str(name) for name in table.columns]
