"""Which samples of a data set a figure or a report shows."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cvsegguide.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch.utils.data import Dataset

    from cvsegguide.data.sample import Sample


def sample_ids(dataset: "Dataset[Sample]") -> list[str]:
    """Names of all samples, in order, without reading a picture."""
    members: Any = getattr(dataset, "datasets", None)  # of several that are joined
    if members is not None:
        return [name for member in members for name in sample_ids(member)]
    source: Any = dataset
    return [source.sample_id(index) for index in range(len(source))]


def find_samples(dataset: "Dataset[Sample]", ids: Sequence[str]) -> list[int]:
    """Indices of samples by whole id, or by an end that no other id shares.

    Raises:
        InputError: An id is not there, or several end alike.
    """
    names = sample_ids(dataset)
    places = {name: index for index, name in enumerate(names)}
    found = []
    for wanted in ids:
        if wanted in places:
            found.append(places[wanted])
            continue
        alike = [index for index, name in enumerate(names) if name.endswith(wanted)]
        if len(alike) != 1:
            fault = "no sample of that name" if not alike else f"{len(alike)} samples end so"
            raise InputError(
                f"{wanted}: {fault}; the first of {len(names)} is called {names[0]}",
                parameter="ids",
            )
        found.append(alike[0])
    return found


def spread(total: int, count: int) -> list[int]:
    """``count`` indices spread evenly over ``0 .. total - 1``, in the middles of equal parts."""
    count = min(count, total)
    return [(2 * place + 1) * total // (2 * count) for place in range(count)]


def read_predictions(path: str | PathLike[str], columns: Sequence[str]) -> "DataFrame":
    """Columns of a table of predictions.

    Raises:
        InputError: It is no such table.
    """
    import pandas

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        return pandas.read_parquet(path, columns=list(columns))
    except (OSError, ValueError) as error:  # those of pyarrow are ValueErrors
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: not a table of predictions ({reason})") from None


def extremes(errors: ArrayLike, best: int, worst: int) -> tuple[list[int], list[int]]:
    """Indices of the smallest errors, rising, and of the largest, falling; none twice."""
    errors = np.asarray(errors, np.float64)
    order = np.argsort(errors, kind="stable")[: np.isfinite(errors).sum()].tolist()
    first = order[:best]
    return first, order[len(first) :][::-1][:worst]


def ranked_ids(path: str | PathLike[str], best: int, worst: int) -> list[str]:
    """Ids of the best and the worst samples of a table of predictions.

    Raises:
        InputError: It is no such table.
    """
    table = read_predictions(path, ("id", "error_m"))
    first, last = extremes(table["error_m"], best, worst)
    return [str(name) for name in table["id"].iloc[[*first, *last]]]
