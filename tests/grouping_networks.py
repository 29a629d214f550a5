"""Grouping networks as their projects export them, which answer with ideal outputs for known people.

A `Kind` knows the names and the form of a network's outputs. Its codec comes from the recognized contract, never from
here: what is written here is what the project publishes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ideal_outputs
import numpy as np
import onnx
from nets import answering
from onnx import helper

from edgepose._checks import Array
from edgepose.codecs import paf
from edgepose.pose.geometry import Size

COCO = ["nose"] + [
    f"{side}_{part}"
    for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
]
OPENPOSE = [
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
]
BODY25 = [*OPENPOSE[:8], "pelvis", *OPENPOSE[8:]] + [
    f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")
]
MPI = ["head_top", "neck", *OPENPOSE[2:14], "chest"]
CROWDPOSE = [*COCO[5:], "head_top", "neck"]

# (channel of x, first joint, second joint) of each field, as lightweight-openpose's keypoints.py lists them
# (BODY_PARTS_KPT_IDS and BODY_PARTS_PAF_IDS), which are also those of OpenPose's COCO network.
COCO_FIELDS = list(
    zip(
        (12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26),
        (1, 1, 2, 3, 5, 6, 1, 8, 9, 1, 11, 12, 1, 0, 14, 0, 15, 2, 5),
        (2, 5, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 0, 14, 16, 15, 17, 16, 17),
        strict=True,
    )
)
# The same of OpenPose's poseParameters.cpp: the pairs of BODY_25 and the index of each pair's first channel.
BODY25_FIELDS = list(
    zip(
        (0, 14, 22, 16, 18, 24, 26, 6, 2, 4, 8, 10, 12, 30, 32, 36, 34, 38, 20, 28, 40, 42, 44, 46, 48, 50),
        (1, 1, 1, 2, 3, 5, 6, 8, 9, 10, 8, 12, 13, 1, 0, 15, 0, 16, 2, 5, 14, 19, 14, 11, 22, 11),
        (8, 2, 5, 3, 4, 6, 7, 9, 10, 11, 12, 13, 14, 0, 15, 17, 16, 18, 17, 18, 19, 20, 21, 22, 23, 24),
        strict=True,
    )
)
MPI_FIELDS = list(
    zip(
        range(0, 28, 2),
        (0, 1, 2, 3, 1, 5, 6, 1, 14, 8, 9, 14, 11, 12),
        (1, 2, 3, 4, 5, 6, 7, 14, 8, 9, 10, 11, 12, 13),
        strict=True,
    )
)
TRT_LIMBS = (
    *((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 8), (7, 9), (8, 10), (9, 11), (2, 3), (1, 2), (1, 3)),
    *((2, 4), (3, 5), (4, 6), (5, 7), (18, 1), (18, 6), (18, 7), (18, 12), (18, 13)),
)
PIFPAF_LIMBS = (
    *((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9), (8, 10), (9, 11)),
    *((2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)),
)
POSENET_TREE = (
    *((0, 1), (1, 3), (0, 2), (2, 4), (0, 5), (5, 7), (7, 9), (5, 11), (11, 13), (13, 15)),
    *((0, 6), (6, 8), (8, 10), (6, 12), (12, 14), (14, 16)),
)

Answer = Callable[[Array, Size], dict[str, Array]]


@dataclass(frozen=True)
class Kind:
    """A published network.

    Attributes:
        family: What it must be recognized as.
        joints: The names of its joints.
        size: (height, width) of its input.
        cells: (height, width) of the maps in which joints are given to `answer`.
        to_cells: What is done to input pixels (x, y) to get cells: (factor, shift).
        answer: People [M, K, 2] in cells -> outputs by name.
        limit: How far a joint may be off, cells.
        color: The order of the channels.
        last: Whether the channels of the input are last.
    """

    family: str
    joints: Sequence[str]
    size: Size
    cells: Size
    to_cells: tuple[float, float]
    answer: Answer
    limit: float = 0.3
    color: str = "rgb"
    last: bool = False


def _fields(xy: Array, size: Size, channels: Sequence[tuple[int, int, int]]) -> tuple[Array, Array]:
    ordered = [(a, b) for _, a, b in sorted(channels)]
    maps, fields = paf.encode(xy, np.ones(xy.shape[:2], bool), np.array(ordered), size, sigma=1.2, width=1.0)
    return maps, fields


def _openpose(channels: Sequence[tuple[int, int, int]], names: Sequence[str]) -> Answer:
    """Outputs with a background, as one or as two, for one name or (maps, fields)."""

    def answer(xy: Array, size: Size) -> dict[str, Array]:
        maps, fields = _fields(xy, size, channels)
        heat = np.concatenate([maps, 1 - maps.max(axis=0, keepdims=True)])
        flat = fields.reshape(-1, *size)
        if len(names) == 1:
            return {names[0]: np.concatenate([heat, flat])[None]}
        return {names[0]: heat[None], names[1]: flat[None]}

    return answer


def _stages(xy: Array, size: Size) -> dict[str, Array]:
    last = _openpose(COCO_FIELDS, ("heatmaps", "pafs"))(xy, size)
    empty = {name: np.zeros_like(value) for name, value in last.items()}
    return {
        "stage_0_output_1_heatmaps": empty["heatmaps"],
        "stage_0_output_0_pafs": empty["pafs"],
        "stage_1_output_1_heatmaps": last["heatmaps"],
        "stage_1_output_0_pafs": last["pafs"],
    }


def _trt(names: tuple[str, str]) -> Answer:
    def answer(xy: Array, size: Size) -> dict[str, Array]:
        channels = [(2 * at, a - 1, b - 1) for at, (a, b) in enumerate(TRT_LIMBS)]
        maps, fields = _fields(xy, size, channels)
        return {names[0]: maps[None], names[1]: fields[:, ::-1].reshape(1, -1, *size)}  # row, column

    return answer


def _tags(people: int) -> list[float]:
    return [3.0 * person - 4 for person in range(people)]


def _mmpose_tags(xy: Array, size: Size) -> dict[str, Array]:
    return dict(zip(("heatmaps", "tags"), ideal_outputs.associative(xy, size, _tags(len(xy))), strict=True))


def _higher(xy: Array, size: Size) -> dict[str, Array]:
    """`size` is that of the second output; the first has maps and tags at half of it."""
    half = (size[0] // 2, size[1] // 2)
    low, tags = ideal_outputs.associative((xy + 0.5) / 2 - 0.5, half, _tags(len(xy)))
    return {"1540": np.concatenate([low, tags], axis=1), "1560": ideal_outputs.bells(xy, size)[None]}


def _one_resolution(xy: Array, size: Size) -> dict[str, Array]:
    return {"pose": np.concatenate(ideal_outputs.associative(xy, size, _tags(len(xy))), axis=1)}


def _dekr(names: tuple[str, str], sign: int) -> Answer:
    return lambda xy, size: dict(zip(names, ideal_outputs.offsets(xy, size, sign), strict=True))


def _posenet(names: Sequence[str], last: bool) -> Answer:
    def answer(xy: Array, size: Size) -> dict[str, Array]:
        sixteen = np.array([[16.0, 0, 0], [0, 16.0, 0]])
        outputs = list(ideal_outputs.posenet(xy, np.array(POSENET_TREE), size, sixteen))
        probability = np.clip(outputs[0], 1e-4, 1 - 1e-4)
        outputs[0] = np.log(probability / (1 - probability))
        return {
            name: output.transpose(0, 2, 3, 1) if last else output for name, output in zip(names, outputs, strict=True)
        }

    return answer


def _pifpaf(xy: Array, size: Size) -> dict[str, Array]:
    limbs = np.array(PIFPAF_LIMBS) - 1
    return dict(zip(("cif", "caf"), ideal_outputs.pifpaf(xy, limbs, size), strict=True))


def _half_pixel(stride: int) -> tuple[float, float]:
    return 1 / stride, 0.5 / stride - 0.5


KINDS = {
    "lightweight-openpose": Kind(
        "lightweight-openpose", OPENPOSE, (256, 456), (32, 57), _half_pixel(8), _stages, color="bgr"
    ),
    "openpose BODY_25": Kind(
        "openpose", BODY25, (368, 368), (46, 46), _half_pixel(8), _openpose(BODY25_FIELDS, ["net_output"]), color="bgr"
    ),
    "openpose COCO": Kind(
        "openpose", OPENPOSE, (368, 368), (46, 46), _half_pixel(8), _openpose(COCO_FIELDS, ["net_output"]), color="bgr"
    ),
    "openpose COCO, two outputs": Kind(
        "openpose", OPENPOSE, (368, 368), (46, 46), _half_pixel(8), _openpose(COCO_FIELDS, ["b", "a"]), color="bgr"
    ),
    "openpose MPI": Kind(
        "openpose", MPI, (368, 368), (46, 46), _half_pixel(8), _openpose(MPI_FIELDS, ["net_output"]), color="bgr"
    ),
    "trt_pose": Kind("trt_pose", [*COCO, "neck"], (224, 224), (56, 56), _half_pixel(4), _trt(("cmap", "paf"))),
    "trt_pose, numbers": Kind(
        "trt_pose", [*COCO, "neck"], (256, 256), (64, 64), _half_pixel(4), _trt(("1227", "1228"))
    ),
    "mmpose AE": Kind(
        "associative-embedding", COCO, (512, 512), (128, 128), (0.25, 0.0), _mmpose_tags
    ),
    "HigherHRNet": Kind("associative-embedding", COCO, (512, 512), (256, 256), _half_pixel(2), _higher),
    "HigherHRNet CrowdPose": Kind(
        "associative-embedding", CROWDPOSE, (512, 512), (256, 256), _half_pixel(2), _higher
    ),
    "HRNet AE, one output": Kind(
        "associative-embedding", COCO, (512, 512), (128, 128), _half_pixel(4), _one_resolution
    ),
    "DEKR": Kind("dekr", COCO, (512, 512), (128, 128), (0.25, 0.0), _dekr(("3001", "3002"), -1), 0.01),
    "DEKR CrowdPose": Kind("dekr", CROWDPOSE, (512, 512), (128, 128), (0.25, 0.0), _dekr(("3001", "3002"), -1), 0.01),
    "DEKR mmpose": Kind(
        "dekr", COCO, (512, 512), (128, 128), (0.25, 0.0), _dekr(("heatmaps", "displacements"), 1), 0.01
    ),
    "PoseNet": Kind(
        "posenet",
        COCO,
        (513, 513),
        (33, 33),
        (1 / 16, 0.0),
        _posenet(("heatmap", "offset_2", "displacement_fwd_2", "displacement_bwd_2"), True),
        0.01,
        last=True,
    ),
    "PoseNet channels first": Kind(
        "posenet", COCO, (513, 513), (33, 33), (1 / 16, 0.0), _posenet(("311", "312", "313", "314"), False), 0.01
    ),
    "openpifpaf": Kind("openpifpaf", COCO, (385, 513), (49, 65), (1 / 8, 0.0), _pifpaf, 0.01),
}  # fmt: skip


def places(size: Size) -> Array:
    """[3] places (x, y, height) of people in an image of this size: two who overlap, and one smaller."""
    height, width = size
    return np.array(
        [(0.28 * width, 0.52 * height, 0.72 * height), (0.47 * width, 0.5 * height, 0.68 * height),
         (0.77 * width, 0.5 * height, 0.6 * height)]
    )  # fmt: skip


def network(kind: Kind, xy_input: Array, path: Path) -> Path:
    """Save a network of this kind that sees these people [M, K, 2], pixels of its input, in every image."""
    factor, shift = kind.to_cells
    saved = answering(path, kind.answer(xy_input * factor + shift, kind.cells), kind.size)
    return channels_last(saved, kind.size) if kind.last else saved


def channels_last(path: Path, size: Size) -> Path:
    """Give a saved network the input [N, H, W, 3]."""
    model = onnx.load(str(path))
    for node in model.graph.node:
        node.input[:] = ["turned" if name == "image" else name for name in node.input]
    model.graph.node.insert(0, helper.make_node("Transpose", ["image"], ["turned"], perm=[0, 3, 1, 2]))
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["batch", *size, 3]))
    onnx.save(model, str(path))
    return path


def of_one(kind: Kind, path: Path) -> Path:
    """Save a network of this kind that sees one person in the middle of every image."""
    height, width = kind.size
    return network(kind, ideal_outputs.people(kind.joints, [(width / 2, height / 2, 0.7 * height)]), path)
