"""What a network's outputs look like by its contract: checked once, before anything is decoded."""

from __future__ import annotations

from collections.abc import Mapping

from edgepose._checks import Array
from edgepose.artifacts.spec import DECODED, ModelSpec
from edgepose.codecs import simcc
from edgepose.errors import SpecError

Axis = str | tuple[int, ...]  # a name, the same size wherever it stands, or the sizes that are possible


def outputs_of(spec: ModelSpec, outputs: Mapping[str, Array], n: int) -> list[Array]:
    """The outputs that the codec decodes, in the contract's order, for n images.

    SpecError, naming the output, unless its shape is what codec and skeleton want.
    """
    shapes, whats = _shapes(spec), DECODED[spec.codec.type]
    found = [outputs[name] for name in spec.outputs[: len(shapes)]]
    sizes: dict[str, int] = {}
    for name, what, array, axes in zip(spec.outputs, whats, found, shapes, strict=False):
        if not _fits(array.shape, ((n,), *axes), sizes):
            raise SpecError(
                f"{spec.name}: output {name!r} has shape {list(array.shape)}, but codec {spec.codec.type!r} and "
                f"skeleton {spec.skeleton.name!r} want {what} {_text(n, axes)}; correct the spec"
            )
    return found


def _fits(shape: tuple[int, ...], axes: tuple[Axis, ...], sizes: dict[str, int]) -> bool:
    """Whether a shape is as wanted; the sizes of named axes are noted, or must be as noted."""
    return len(shape) == len(axes) and all(
        sizes.setdefault(axis, size) == size if isinstance(axis, str) else size in axis
        for axis, size in zip(axes, shape, strict=True)
    )


def _shapes(spec: ModelSpec) -> list[tuple[Axis, ...]]:
    """The shapes for one image. OpenPose has one map more than joints, the background, as the last one."""
    joints, limbs = len(spec.skeleton), len(spec.skeleton.limbs)
    rows, columns = simcc.bins(spec.input.size, spec.codec.split)
    shapes: dict[str, list[tuple[Axis, ...]]] = {
        "heatmap": [((joints,), "h", "w")],
        "simcc": [((joints,), (columns,)), ((joints,), (rows,))],
        "regression": [((joints,), (2, 3))],
        "paf": [((joints, joints + 1), "h", "w"), ((2 * limbs,), "h", "w")],
    }
    return shapes[spec.codec.type]


def _text(n: int, axes: tuple[Axis, ...]) -> str:
    words = [axis if isinstance(axis, str) else " or ".join(map(str, axis)) for axis in axes]
    return f"[{', '.join([str(n), *words])}]"
