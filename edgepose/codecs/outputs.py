"""The decoded outputs of a network: picked by name and checked once, before anything is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgepose._checks import Array
from edgepose.codecs.codec import Axis
from edgepose.errors import SpecError

if TYPE_CHECKING:
    from edgepose.artifacts.spec import ModelSpec


def outputs_of(spec: ModelSpec, outputs: Mapping[str, Array], n: int) -> list[Array]:
    """Pick the outputs that the contract's codec decodes.

    Args:
        spec: The contract of the network.
        outputs: What the network returned, by name.
        n: The number of images.

    Returns:
        The decoded outputs, in the contract's order.

    Raises:
        SpecError: If the shape of an output, which is named, is not what codec and skeleton expect.
    """
    shapes, whats = spec.codec.shapes(spec.skeleton, spec.input), spec.codec.decodes
    found = [outputs[name] for name in spec.outputs[: len(shapes)]]
    sizes: dict[str, int] = {}
    for name, what, array, axes in zip(spec.outputs, whats, found, shapes, strict=False):
        if not _fits(array.shape, ((n,), *axes), sizes):
            raise SpecError(
                f"{spec.name}: output {name!r} has shape {list(array.shape)}, but codec {spec.codec.name!r} and "
                f"skeleton {spec.skeleton.name!r} expect {what} {_text(n, axes)}; correct the spec"
            )
    return found


def _fits(shape: tuple[int, ...], axes: tuple[Axis, ...], sizes: dict[str, int]) -> bool:
    """Compare a shape with the expected axes; `sizes` holds the lengths of named axes seen so far."""
    return len(shape) == len(axes) and all(
        sizes.setdefault(axis, size) == size if isinstance(axis, str) else size in axis
        for axis, size in zip(axes, shape, strict=True)
    )


def _text(n: int, axes: tuple[Axis, ...]) -> str:
    words = [axis if isinstance(axis, str) else " or ".join(map(str, axis)) for axis in axes]
    return f"[{', '.join([str(n), *words])}]"
