"""Which samples of a data set a figure or a report shows."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvsegguide.errors import InputError

if TYPE_CHECKING:
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


def read_predictions(path: str | PathLike[str], columns: Sequence[str]) -> dict[str, list[Any]]:
    """Columns of a table of predictions.

    Raises:
        InputError: It is no such table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        table = pq.read_table(path, columns=list(columns))
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: not a table of predictions ({reason})") from None
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise InputError(f"{path}: has no column '{missing[0]}'")
    return {str(name): values for name, values in table.to_pydict().items()}


def extremes(errors: Sequence[float], best: int, worst: int) -> tuple[list[int], list[int]]:
    """Indices of the smallest errors, rising, and of the largest, falling; none twice."""
    finite = [index for index, error in enumerate(errors) if error == error]
    order = sorted(finite, key=lambda index: (errors[index], index))
    first = order[:best]
    rest = order[len(first) :]
    return first, rest[::-1][:worst]


def ranked_ids(path: str | PathLike[str], best: int, worst: int) -> list[str]:
    """Ids of the best and the worst samples of a table of predictions.

    Raises:
        InputError: It is no such table.
    """
    table = read_predictions(path, ("id", "error_m"))
    first, last = extremes(table["error_m"], best, worst)
    return [str(table["id"][index]) for index in [*first, *last]]
