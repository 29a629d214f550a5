"""What a project's module yields: one `Comparison` for each thing that was compared; and the side of edgepose.

The network sees the input that the project prepared, so that a difference of the results is one of the decoding. How
much edgepose's own input differs from it is a comparison of its own, in gray levels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.onnxruntime import OnnxRuntimeSession
from edgepose.backends.session import OpenOptions
from edgepose.export.foreign import import_network
from edgepose.pose.poses import Poses
from edgepose.runtime.host import HostPipeline, boxes_for

LARGEST_PX = 1e-3  # the goal


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The largest difference of one quantity.

    Attributes:
        family: The family that edgepose recognized, or the codec where no network was recognized.
        project: The name of the package whose code is the peer.
        version: Its version.
        network: Which network, with the form of its export.
        weights: "random" for an export with random weights, "none" for random outputs, "real" for a published network.
        what: What was compared, for example "joints".
        count: How many values of it were compared (joints, boxes, pixels).
        largest: The largest difference.
        unit: Its unit.
        note: What is compared only after a correction, or why a difference is accepted.
    """

    family: str
    project: str
    version: str
    network: str
    weights: str
    what: str
    count: int
    largest: float
    unit: str = "px"
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network or a codec that is compared; what all of its comparisons have in common."""

    project: str
    version: str
    network: str
    weights: str = "random"

    def compared(
        self, family: str, what: str, ours: Array, theirs: Array, *, unit: str = "px", note: str = ""
    ) -> Comparison:
        """Compare two arrays of the same quantity.

        Args:
            family: The family that edgepose recognized.
            what: The name of the quantity.
            ours: What edgepose found, [N, ...].
            theirs: What the project found. Another number of rows is an infinite difference.
            unit: The unit of both.
            note: See `Comparison`.
        """
        same = ours.shape == theirs.shape
        gap = np.abs(ours.astype(np.float64) - theirs) if same else np.array([np.inf])
        if not same:
            note = f"edgepose found {list(ours.shape)}, the project {list(theirs.shape)}"
        if not len(gap):
            note = "nothing was found"
        return Comparison(
            family=family,
            project=self.project,
            version=self.version,
            network=self.network,
            weights=self.weights,
            what=what,
            count=ours.size // ours.shape[-1] if unit == "px" and ours.size else ours.size,
            largest=float(gap.max()) if len(gap) else float("inf"),
            unit=unit,
            note=note,
        )


@dataclass(frozen=True, kw_only=True)
class Ours:
    """What edgepose made of a network.

    Attributes:
        family: The family that it recognized.
        spec: The contract.
        input: The input that edgepose cuts out of the image, [N, 3, H, W].
        inverse: The matrices from its crops to the image, [N, 2, 3].
        poses: What it decodes from the outputs for the project's input.
    """

    family: str
    spec: ModelSpec
    input: Array
    inverse: Array
    poses: Poses


def ours(
    path: Path,
    image: Array,
    canvas: Array,
    boxes_xyxy: Array | None = None,
    inverse: Array | None = None,
    changed: Mapping[str, object] | None = None,
    apart: Callable[[Array], Array] | None = None,
) -> Ours:
    """Import a network without a spec, and run it on the input that the project prepared.

    Args:
        path: The ONNX file.
        image: The image, [H, W, 3] uint8 BGR.
        canvas: The input of the network, [N, 3, h, w], as the project prepared it.
        boxes_xyxy: The bounding boxes of people, [N, 4]; None for a network that finds people.
        inverse: The matrices from the project's crops to the image, [N, 2, 3], where they are not those of edgepose.
        changed: Parameters of the codec that are not those that edgepose chooses.
        apart: What makes equal scores of candidates [N, M] different, see `apart`; for networks that list people.
    """
    made = import_network(path, None)
    assert made.recognized is not None
    spec = replace(made.spec, codec=replace(made.spec.codec, **(changed or {})))
    session = OnnxRuntimeSession(made.model.SerializeToString(), OpenOptions())
    with session, HostPipeline(session, spec) as pipeline:
        boxes = boxes_for(pipeline.finds_people, image, boxes_xyxy)
        own, matrices = pipeline.preprocess(image, boxes)
        outputs = pipeline.infer(fed(canvas, spec))
        if apart is not None:
            ((name, rows),) = outputs.items()
            outputs = {name: np.concatenate([rows[..., :4], apart(rows[..., 4])[..., None], rows[..., 5:]], axis=-1)}
        poses = pipeline.decode(outputs, matrices if inverse is None else inverse, boxes)
    return Ours(family=made.recognized.family, spec=spec, input=own, inverse=matrices, poses=poses)


def apart(scores: Array) -> Array:
    """Return scores in the same order of which no two are equal; of equal ones the first becomes the highest.

    Candidates of equal scores have no order, and greedy suppression keeps what comes first: two programs that sort
    them differently keep different people, and both are right.

    Args:
        scores: [N, M] float32, 0..1.

    Returns:
        [N, M] float32: those above 0.25 between 0.3 and 1, and the others as they are.
    """
    changed = np.array(scores, np.float32)
    for row in changed:
        order = np.argsort(-row, kind="stable")
        order = order[row[order] > 0.25]
        row[order] = np.linspace(1, 0.3, len(order), dtype=np.float32)
    return changed


def fed(canvas: Array, spec: ModelSpec) -> Array:
    """Return a canvas in the type of a contract's input."""
    return np.ascontiguousarray(canvas.astype(spec.input.dtype))


def levels(ours: Array, theirs: Array, spec: ModelSpec) -> tuple[Array, Array]:
    """Return two inputs in gray levels, [N, 3, H, W], so that their difference has a unit.

    Args:
        ours: What edgepose cut out, normalized.
        theirs: What the project prepared, normalized in the same way.
        spec: The contract.
    """
    std = np.asarray(spec.input.std, np.float64).reshape(3, 1, 1) / spec.input.scale
    return ours * std, theirs * std


def picture(height: int, width: int, seed: int = 0) -> Array:
    """Return a smooth random image, [height, width, 3] uint8 BGR."""
    import cv2

    small = np.random.default_rng(seed).integers(0, 256, (height // 24, width // 24, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def stub(path: Path, outputs: Mapping[str, Array], size: tuple[int, int], name: str = "input") -> Path:
    """Write a network that returns constants, whatever image it sees.

    Args:
        path: The file.
        outputs: Name -> the output for one image, without the batch axis.
        size: (height, width) of its input.
        name: The name of its input.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("ReduceMean", [name], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),  # so that nothing can be folded
    ]
    constants, made = [numpy_helper.from_array(np.zeros(1, np.float32), "zero")], []
    for output, value in outputs.items():
        constants.append(numpy_helper.from_array(value[None].astype(np.float32), f"{output}.value"))
        constants.append(numpy_helper.from_array(np.array([-1, *[1] * value.ndim]), f"{output}.shape"))
        nodes.append(helper.make_node("Reshape", ["nothing", f"{output}.shape"], [f"{output}.nothing"]))
        nodes.append(helper.make_node("Add", [f"{output}.value", f"{output}.nothing"], [output]))
        made.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", *value.shape]))
    image = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3, *size])
    graph = helper.make_graph(nodes, "net", [image], made, constants)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def peaks(size: tuple[int, int], joints: int, random: np.random.Generator, sigma: float = 2.0) -> Array:
    """Return heatmaps with one Gaussian each, of random height and place, and a little noise: [joints, h, w] float32.

    Args:
        size: (h, w).
        joints: The number of maps.
        random: The source of the numbers.
        sigma: The standard deviation of the Gaussians, pixels.
    """
    rows, columns = np.mgrid[: size[0], : size[1]]
    x, y = (random.uniform(9, length - 10, joints)[:, None, None] for length in size[::-1])
    height = random.uniform(0.3, 0.95, joints)[:, None, None]
    maps = height * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.asarray(maps + random.normal(0, 0.002, maps.shape), np.float32)
