"""Any number of people through an engine that was compiled for a few fixed batch sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.errors import EngineError

INPUT_DTYPES = (np.float32, np.float16, np.uint8)  # what a contract's input.dtype may be
Shape = Sequence[int | None]  # None: any size


def batch_sizes(shapes: Sequence[Shape], free: tuple[int, ...]) -> tuple[int, ...]:
    """The batch sizes to run a network at: `free` when its batch axis is free, (1,) when it is fixed to 1.

    `shapes` are those of its inputs. EngineError for another fixed batch.
    """
    fixed = {shape[0] for shape in shapes if shape[0] is not None}
    if fixed - {1}:
        raise EngineError(f"the network's batch is fixed to {max(fixed)}; export it with a free batch axis, or 1")
    return (1,) if fixed else free


def check_feed(feed: Mapping[str, Array], shapes: Mapping[str, Shape]) -> int:
    """Check names, shapes and types of a feed; return N. `shapes` are those of one item, batch axis left out.

    Raises ValueError: a wrong feed is the caller's bug.
    """
    if feed.keys() != shapes.keys():
        raise ValueError(f"feed: expected inputs {sorted(shapes)}, got {sorted(feed)}")
    sizes = {check_array(name, feed[name], ("N", *shapes[name]))["N"] for name in shapes}
    for name, value in feed.items():
        if value.dtype not in INPUT_DTYPES:
            raise ValueError(
                f"{name}: expected dtype float32, or float16 or uint8 as the contract says, got {value.dtype}"
            )
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(f"feed: expected one batch size of at least 1, got {sorted(sizes)}")
    return sizes.pop()


def chunks(total: int, sizes: Sequence[int]) -> Iterator[slice]:
    """Cut 0..total into runs of the given sizes, largest first; `sizes` must hold 1."""
    start = 0
    for size in sorted(sizes, reverse=True):
        while total - start >= size:
            yield slice(start, start + size)
            start += size


def pieces(total: int, largest: int) -> Iterator[slice]:
    """Cut 0..total into as few runs as can be, of at most `largest` and of nearly one length."""
    count = -(-total // largest)
    for index in range(count):
        yield slice(total * index // count, total * (index + 1) // count)


def store(outputs: dict[str, Array], name: str, part: Array, where: slice, total: int) -> None:
    """Copy one chunk's output [n, ...] into its place of [total, ...], made at the first chunk."""
    if name not in outputs:
        outputs[name] = np.empty((total, *part.shape[1:]), part.dtype)
    outputs[name][where] = part
