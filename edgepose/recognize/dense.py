"""Maps that are none of joints: classes of pixels, depth, mattes, and the features of a backbone.

A network that labels pixels gives [N, C, h, w] just as a heatmap network does, and C may be the number of joints of a
skeleton (Pascal VOC has 21 classes, as a hand has 21 joints). The graph tells many of them apart: classes come out of a
Softmax or an ArgMax over the channels or out of a Resize, features out of an activation. Names and the files beside the
network tell others. What is left is ambiguous where the number is usual for classes, and is then not guessed.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from edgepose.graph.lookup import Graph, graph_of
from edgepose.recognize.candidate import Candidate

if TYPE_CHECKING:
    import onnx

    from edgepose.pose.geometry import Size

# numbers of classes of published segmentation data sets that are also numbers of joints
CLASSES = {
    11: "CamVid and LaPa",
    14: "NYU Depth v2 with a background",
    15: "iSAID",
    21: "Pascal VOC",
    23: "CARLA",
    26: "India Driving",
    133: "COCO panoptic",
}
POSE_WORDS = ("heatmap", "heat_map", "keypoint", "kpt", "pose", "joint", "landmark", "hrnet", "hourglass", "hand")
OTHER_WORDS = {
    "segmentation": ("seg", "segment", "segmentation", "semantic", "parsing", "masks", "mask", "logits", "deeplab",
                     "deeplabv",
                     "fcn", "unet", "segformer", "lraspp", "bisenet", "pspnet"),
    "depth": ("depth", "disparity", "midas", "dpt"),
    "matting": ("matte", "matting", "alpha", "pha", "fgr"),
    "features": ("feature", "features", "feat", "backbone", "embedding", "embeddings", "hidden"),
    "classification": ("classification", "classifier", "imagenet"),
    "super-resolution": ("sr", "upscale", "upscaled", "superresolution", "esrgan"),
}  # fmt: skip
ARCHITECTURES = (
    "semanticsegmentation",
    "imagesegmentation",
    "depthestimation",
    "imageclassification",
    "objectdetection",
)
LAYOUT = ("Identity", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten")
ACTIVATIONS = ("Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Selu", "Gelu", "HardSwish", "Mish", "BatchNormalization",
               "MaxPool", "AveragePool", "LayerNormalization", "GroupNormalization", "InstanceNormalization",
               "Celu", "Softplus")  # fmt: skip
RESIZES = ("Resize", "Upsample")
GATES = ("Sigmoid", "HardSigmoid")  # a value times its gate is a Swish


def other_than_joints(candidate: Candidate, output: str, channels: int, size: Size) -> str | None:
    """Say why maps are not, or may not be, those of joints.

    Args:
        candidate: The network.
        output: The output of maps, [N, C, h, w].
        channels: C.
        size: (height, width) of the input.

    Returns:
        The reason as a clause about the network; None where its maps can be those of joints.
    """
    graph = graph_of(candidate.model)
    if by_pixel := _class_of_pixels(graph, output):
        return by_pixel
    if said := _said_by_files(candidate):
        return said
    pose, other = _named(_words(candidate, output))
    if pose or other:
        return other
    last = _last(graph, output)
    if last is not None and last.op_type in RESIZES:
        return f"they end in a {last.op_type}, as those of networks that label pixels do (segmentation, depth, mattes)"
    if of_a_crop(size):
        return None
    if last is not None and (activation := _activation(graph, last)):
        return f"they end in a {activation}, as the features of a backbone do and heatmaps do not"
    if channels in CLASSES:
        return (
            f"{channels} maps are those of a skeleton or of the classes of {CLASSES[channels]}, and nothing in the "
            f'file says which: if they are joints, say so with a spec.toml that holds family = "heatmaps"'
        )
    return None


def says_pose(candidate: Candidate, output: str) -> bool:
    """Whether the name of the output, of the graph or of the file says that a network finds joints, and no more.

    Args:
        candidate: The network.
        output: The output of maps.
    """
    return _named(_words(candidate, output))[0]


def of_a_crop(size: Size) -> bool:
    """Whether an input has the shape of crops of people, 256 x 192 or 384 x 288, which little else has.

    Args:
        size: (height, width) of the input.
    """
    return 4 * size[1] == 3 * size[0]


def _last(graph: Graph, output: str) -> onnx.NodeProto | None:
    """Return the last node in front of an output that does more than change the layout."""
    node = graph.producer.get(output)
    while node is not None and node.op_type in LAYOUT and node.input:
        node = graph.producer.get(node.input[0])
    return node


def _class_of_pixels(graph: Graph, output: str) -> str | None:
    """Say that a Softmax or an ArgMax over the channels makes an output."""
    turned = False
    node = graph.producer.get(output)
    while node is not None and node.op_type in ("Identity", "Cast", "Transpose") and node.input:
        turned = turned or node.op_type == "Transpose"
        node = graph.producer.get(node.input[0])
    if node is None or node.op_type not in ("Softmax", "LogSoftmax", "ArgMax"):
        return None
    axis = next((int(item.i) for item in node.attribute if item.name == "axis"), -1 if node.op_type != "ArgMax" else 0)
    channels = axis in ((-1, 3) if turned else (1, -3))
    if not channels:
        return None
    return f"a {node.op_type} over the channels makes them, so they are classes of pixels (segmentation)"


def _activation(graph: Graph, node: onnx.NodeProto) -> str:
    """Return the name of an activation or a normalization; "" for any other node."""
    makers = (graph.producer.get(name) for name in node.input)
    if node.op_type == "Mul" and any(maker is not None and maker.op_type in GATES for maker in makers):
        return "Swish"
    return str(node.op_type) if node.op_type in ACTIVATIONS else ""


def _said_by_files(candidate: Candidate) -> str | None:
    """Say that metadata or a file of Hugging Face names another task."""
    task = candidate.metadata.get("task", "")
    if task and task != "pose" and "names" in candidate.metadata:
        return f"its metadata says that its task is {task!r}"
    path = candidate.beside.get("config.json")
    if path is None:
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None  # of another program, or damaged; a family that needs the file says so
    names = value.get("architectures") if isinstance(value, dict) else None
    kinds = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    other = next((name for name in kinds if name.lower().endswith(ARCHITECTURES)), None)
    return None if other is None else f"config.json beside it says that it is a {other}"


def _words(candidate: Candidate, output: str) -> list[str]:
    """Return the names that the author of a network gave: of the output, the graph and the file, in lower case."""
    stem = "" if candidate.path is None else candidate.path.stem
    return [output.lower(), candidate.model.graph.name.lower(), stem.lower()]


def _named(words: list[str]) -> tuple[bool, str | None]:
    """Return whether a name says pose, or else why another says something else. A name that says both says nothing."""
    for text in words:
        parts = re.split(r"[^a-z]+", text)
        found = ((kind, part) for kind, known in OTHER_WORDS.items() for part in parts if part in known)
        kind, word = next(found, ("", ""))
        pose = any(known in text for known in POSE_WORDS)
        if pose != bool(kind):
            return pose, None if pose else f"{word!r} in a name of the network says {kind}"
    return False, None
