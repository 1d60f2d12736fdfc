"""Data sets and transforms made from a configuration, and what is wrong with them."""

from pathlib import Path
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

from cvsegguide.data.configurations import as_list
from cvsegguide.data.dataset import CrossViewDataset
from cvsegguide.data.transforms import Transform
from cvsegguide.errors import CVSegGuideError, DatasetError
from cvsegguide.evaluation.sources import FaultFinder


class FaultFindingParser(FaultFinder, LightningArgumentParser):
    """Remembers what a data set or a transform found fault with while it was made."""

    watched = (CrossViewDataset, Transform)


def find_cause(error: BaseException) -> CVSegGuideError | None:
    """The error of ours that led to another one."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, CVSegGuideError):
        seen = seen.__cause__ or seen.__context__
    return seen


def explain_missing_test(
    fault: CVSegGuideError, options: Any, needed: tuple[str, ...]
) -> CVSegGuideError:
    """Says how the test city of a SynthCity comes about when it is what is missing."""
    for entry in as_list(options.data.get("test")):
        root = (entry.get("init_args") or {}).get("root")
        if root is None or "test" not in needed:
            continue
        folder = Path(root)
        if folder.name == "test" and str(fault).startswith(f"{folder}: no such folder"):
            return DatasetError(
                f"{folder}: no such folder: the test city is made together with the others, "
                f"`cvsegguide synth {folder.parent} --tiles N --validation N --test N`; "
                "`root` or data.test.root names another"
            )
    return fault
