"""Run any number of people through an engine that was compiled for a few batch sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import DTypeLike

from edgepose._checks import Array, check_array
from edgepose.errors import EngineError

Shape = Sequence[int | None]  # None is an axis of any size


def batch_sizes(shapes: Sequence[Shape], free: tuple[int, ...]) -> tuple[int, ...]:
    """Return the batch sizes to run a network with.

    Args:
        shapes: Shapes of the inputs with their batch axis.
        free: Batch sizes for a network whose batch axis is free.

    Returns:
        `free`, or (1,) when the batch axis is fixed to 1.

    Raises:
        EngineError: The batch axis is fixed to another size.
    """
    fixed = {shape[0] for shape in shapes if shape[0] is not None}
    if fixed - {1}:
        raise EngineError(f"the network's batch is fixed to {max(fixed)}; export it with a free batch axis, or 1")
    return (1,) if fixed else free


def check_feed(feed: Mapping[str, Array], shapes: Mapping[str, Shape], dtypes: Mapping[str, DTypeLike]) -> int:
    """Check the names, shapes and dtypes of a feed.

    Args:
        feed: Array of each input.
        shapes: Shape of one item of each input, without the batch axis.
        dtypes: Data type of each input.

    Returns:
        The batch size.

    Raises:
        ValueError: The feed is wrong, which is an error in the calling code.
    """
    if feed.keys() != shapes.keys():
        raise ValueError(f"feed: expected inputs {sorted(shapes)}, got {sorted(feed)}")
    sizes = {check_array(name, feed[name], ("N", *shapes[name]), dtypes[name])["N"] for name in shapes}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(f"feed: expected one batch size of at least 1, got {sorted(sizes)}")
    return sizes.pop()


def chunks(total: int, sizes: Sequence[int]) -> Iterator[slice]:
    """Yield slices that cover 0..total, each of one of the given sizes, the largest first; `sizes` must contain 1."""
    start = 0
    for size in sorted(sizes, reverse=True):
        while total - start >= size:
            yield slice(start, start + size)
            start += size


def pieces(total: int, largest: int) -> Iterator[slice]:
    """Yield as few slices as possible that cover 0..total, of nearly equal length and at most `largest` long."""
    count = -(-total // largest)
    for index in range(count):
        yield slice(total * index // count, total * (index + 1) // count)


def store(outputs: dict[str, Array], name: str, part: Array, where: slice, total: int) -> None:
    """Copy the output of one chunk into the output of the whole batch.

    Args:
        outputs: Outputs of the whole batch by name; the array [total, ...] is allocated for the first chunk.
        name: Name of the output.
        part: Output of the chunk [n, ...].
        where: Position of the chunk in the batch.
        total: Size of the batch.
    """
    if name not in outputs:
        outputs[name] = np.empty((total, *part.shape[1:]), part.dtype)
    outputs[name][where] = part
