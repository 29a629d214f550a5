"""Refuse a contract that decodes the joint maps of a bottom-up network and leaves out what groups the joints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import SpecError

if TYPE_CHECKING:
    import onnx

# What an output is called, or a part of it -> what it says about the joints
GROUPING = {
    "tag": "tags",
    "paf": "part affinity fields",
    "caf": "association fields",
    "displacement": "displacements",
    "offset": "offsets",
}


def refuse_left_out(spec: ModelSpec, model: onnx.ModelProto, where: str) -> None:
    """Raise SpecError where an output that groups joints or refines them is not decoded.

    Joint maps alone, decoded as one person's, look right on an image of one person and are wrong on all others.

    Args:
        spec: The contract.
        model: The graph with all its outputs.
        where: The source that errors name.

    Raises:
        SpecError: The codec is 'heatmap', and another output has such a name, or two maps for each joint as HigherHRNet
            (joint maps and tags) and PoseNet (offsets) have.
    """
    if spec.codec.name != "heatmap":
        return
    joints = len(spec.skeleton)
    for value in model.graph.output:
        axes = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        if value.name in spec.outputs or len(axes) != 4:
            continue
        what = next((what for part, what in GROUPING.items() if part in value.name.lower()), None)
        if what is None and 2 * joints in (axes[1], axes[3]):
            what = "two maps for each joint, such as joint maps and tags (HigherHRNet) or offsets (PoseNet)"
        if what is not None:
            raise SpecError(
                f"{where}: the spec decodes heatmaps of one person and leaves out output {value.name!r}, which has "
                f"{what}: the network finds everyone in an image; build it without a spec, so that it is recognized, "
                "or name the codec of its kind (paf, associative, offsets, posenet) and all its outputs; if heatmaps "
                "of one person are what you want, remove this output from the graph"
            )
