"""The multi-scale transformer: a pair, a batch, a training step."""

from collections.abc import Iterator

from cvsegguide.benchmark.networks import build, forward, training_step
from cvsegguide.benchmark.registry import Measurement


def measure(quick: bool = False) -> Iterator[Measurement]:
    """Both variants at published size; the small network where it should be quick.

    ``published`` is what the original code computes; ``corrected``, which is what one trains, has
    3 x 3 convolutions in its decoder and does twice the arithmetic.
    """
    name, repeats = ("mst-small", 3) if quick else ("mst", 7)
    for variant in ("published", "corrected"):
        model = build(name, variant=variant)
        yield forward(f"{name} {variant}", model, 1, repeats)
        if not quick:
            yield forward(f"{name} {variant}", model, 8, repeats // 2)
        yield training_step(f"{name} {variant}", model, 2 if quick else 4, repeats // 2)
