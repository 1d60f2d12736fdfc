"""Callbacks of training: averaging, resumption, progress, the table of predictions."""

from cvsegguide.training.callbacks.averaging import EMA
from cvsegguide.training.callbacks.lines import EpochLines
from cvsegguide.training.callbacks.resume import Interrupted, LastCheckpoint
from cvsegguide.training.callbacks.table import PredictionTable

__all__ = ["EMA", "EpochLines", "Interrupted", "LastCheckpoint", "PredictionTable"]
