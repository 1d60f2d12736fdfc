"""Files that cannot be read: one kind of error, and the account that training keeps of them.

Over several processes each keeps its own account, and they are put together when an epoch begins
and before its last batch: a share that only all of them see together stops the run then.
"""

import logging
from dataclasses import dataclass, field
from os import PathLike, fspath

from cvsegguide.errors import DatasetError, TrainingError

logger = logging.getLogger(__name__)

_LISTED = 20


class BrokenFileError(DatasetError):
    """A file of a data set that is missing, truncated or not what it should be.

    Attributes:
        path: The file.
        reason: What is wrong with it.
    """

    def __init__(self, path: str | PathLike[str], reason: str) -> None:
        super().__init__(f"{fspath(path)}: {reason}")
        self.path = fspath(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type["BrokenFileError"], tuple[str, str]]:
        return type(self), (self.path, self.reason)


@dataclass
class BrokenFiles:
    """The account of broken files of one training run.

    Attributes:
        total: Samples in the data set.
        limit: Share of broken samples above which :meth:`record` raises.
        samples: Indices of samples that could not be read.
        reasons: File -> what is wrong with it, in the order found.
    """

    total: int
    limit: float = 0.01
    samples: set[int] = field(default_factory=set)
    reasons: dict[str, str] = field(default_factory=dict)

    def record(self, index: int, path: str, reason: str) -> None:
        """Take down that sample ``index`` could not be read because of ``path``.

        Raises:
            TrainingError: More than ``limit`` of the samples are broken; the message lists the
                files.
        """
        self.samples.add(index)
        if path not in self.reasons:
            self.reasons[path] = reason
            logger.warning("skipped a broken file: %s: %s", path, reason)
        self._check()

    def gather(self) -> None:
        """Add what the other processes of the run have found; all of them must call it.

        Raises:
            TrainingError: As :meth:`record`.
        """
        from torch import distributed

        if not (distributed.is_available() and distributed.is_initialized()):
            return
        accounts: list[tuple[set[int], dict[str, str]] | None]
        accounts = [None] * distributed.get_world_size()
        distributed.all_gather_object(accounts, (self.samples, self.reasons))
        for samples, reasons in filter(None, accounts):
            self.samples |= samples
            self.reasons |= reasons
        self._check()

    def _check(self) -> None:
        if len(self.samples) > self.limit * self.total:
            listed = [f"{name} ({why})" for name, why in list(self.reasons.items())[:_LISTED]]
            more = len(self.reasons) - len(listed)
            raise TrainingError(
                f"{len(self.samples)} of {self.total} training samples are broken, more than "
                f"{self.limit:.0%}: {', '.join(listed)}" + (f" and {more} more" if more else "")
            )
