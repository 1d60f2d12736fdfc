"""Faults of data sets and transforms, as they were before jsonargparse wrapped them."""

from pathlib import Path
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

from cvsegguide.data.dataset import CrossViewDataset
from cvsegguide.data.transforms import Transform
from cvsegguide.errors import CVSegGuideError, DatasetError
from cvsegguide.training.runs import listed


class FaultFindingParser(LightningArgumentParser):
    """Remembers what a data set or a transform found fault with while it was made.

    Of several types that a value may have, jsonargparse keeps the first one's error, which need
    not be the telling one.
    """

    faults: tuple[CVSegGuideError, ...] = ()

    def instantiate(self, *args: Any, **kwargs: Any) -> Any:
        """As jsonargparse's, with an eye on our own classes."""
        self.faults = ()

        def make(kind: type, *args: Any, **kwargs: Any) -> Any:
            try:
                return kind(*args, **kwargs)
            except CVSegGuideError as error:
                self.faults += (error,)
                raise

        watched = [(make, kind, True) for kind in (CrossViewDataset, Transform)]
        return super().instantiate(*args, **{"instantiators": watched, **kwargs})


def cause(error: BaseException) -> CVSegGuideError | None:
    """The error of ours that led to another one."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, CVSegGuideError):
        seen = seen.__cause__ or seen.__context__
    return seen


def explained(fault: CVSegGuideError, options: Any, needed: tuple[str, ...]) -> CVSegGuideError:
    """Says how the test city of a SynthCity comes about when it is what is missing."""
    for entry in listed(options.data.get("test")):
        root = (entry.get("init_args") or {}).get("root")
        if root is None or "test" not in needed:
            continue
        folder = Path(root)
        if folder.name == "test" and str(fault).startswith(f"{folder}: no such folder"):
            return DatasetError(
                f"{folder}: no such folder: the test city is made together with the others, "
                f"`cvsegguide synth {folder.parent} --tiles N --validation N --test N`; "
                "--data.test.root DIR names another"
            )
    return fault
