"""Maps that are none of joints: segmentation, depth, mattes, super-resolution, classification and features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from pooled import Last, pooled

from edgepose.artifacts.spec import set_metadata
from edgepose.errors import SpecError
from edgepose.export.foreign import import_network

SQUARE = (1, 3, 256, 256)
SOFTMAX: Last = ("Softmax", {"axis": 1})
# name -> image, output, its shape, what follows, the stem of the file, and what the message says
OTHERS: dict[str, tuple[tuple[int, ...], str, tuple[int, ...], tuple[Last, ...], str, str]] = {
    "classes of Pascal VOC": (SQUARE, "output", (1, 21, 64, 64), (), "net", "classes of Pascal VOC.*family = "),
    "at an eighth": ((1, 3, 512, 512), "out", (1, 21, 64, 64), (), "net", "classes of Pascal VOC"),
    "14 classes": (SQUARE, "output", (1, 14, 64, 64), (), "net", "classes of NYU"),
    "as large as the input": (SQUARE, "output", (1, 21, 256, 256), (), "net", "as large as its input"),
    "mattes": ((1, 3, 512, 512), "output", (1, 1, 512, 512), (), "net", "as large as its input"),
    "Softmax": (SQUARE, "output", (1, 17, 64, 64), (SOFTMAX,), "net", "a Softmax over the channels"),
    "Softmax in a heatmap's name": (SQUARE, "heatmaps", (1, 17, 64, 64), (SOFTMAX,), "net", "a Softmax over"),
    "named output": (SQUARE, "seg_logits", (1, 17, 64, 64), (), "net", "'seg' in a name of the network"),
    "named file": (SQUARE, "output", (1, 17, 64, 64), (), "deeplabv3", "'deeplabv' in a name of the network"),
    "features": ((1, 3, 224, 224), "x", (1, 16, 112, 112), (("Relu", {}),), "net", "they end in a Relu, as the feat"),
    "features after HardSwish": (SQUARE, "x", (1, 16, 64, 64), (("HardSigmoid", {}), ("LeakyRelu", {})), "net",
                                 "they end in a LeakyRelu"),
    "Cityscapes": ((1, 3, 512, 1024), "output", (1, 34, 128, 256), (), "net", "34 maps.*classes of pixels"),
    "Cityscapes, square": ((1, 3, 512, 512), "output", (1, 34, 128, 128), (), "net", "say so with.*associative-embedd"),
    "Cityscapes, named": ((1, 3, 512, 512), "seg_logits", (1, 34, 128, 128), (), "net", "'seg' in a name"),
    "28 classes": ((1, 3, 512, 512), "output", (1, 28, 128, 128), (), "net", "28 maps are maps and tags of 14 joints"),
    "depth": (SQUARE, "depth", (1, 1, 128, 128), (), "net", "is not recognized"),
    "super-resolution": ((1, 3, 64, 64), "output", (1, 3, 256, 256), (), "net", "do not cover the input"),
    "classification": ((1, 3, 224, 224), "output", (1, 1000), (), "net", "resembles none of the families"),
}  # fmt: skip


def saved(model: onnx.ModelProto, folder: Path, stem: str = "net") -> Path:
    onnx.save(model, folder / f"{stem}.onnx")
    return folder / f"{stem}.onnx"


@pytest.mark.parametrize("name", OTHERS)
def test_maps_of_something_else_are_refused(name: str, tmp_path: Path) -> None:
    image, output, shape, last, stem, why = OTHERS[name]
    path = saved(pooled(image, {output: shape}, last=last), tmp_path, stem)
    with pytest.raises(SpecError, match=why) as caught:
        import_network(path, None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("channels", [17, 21])
def test_a_resize_at_the_end_labels_pixels(channels: int, tmp_path: Path) -> None:
    model = pooled(SQUARE, {"output": (1, channels, 32, 32)})
    model.graph.node[-1].output[0] = "small"
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "by"))
    model.graph.node.append(helper.make_node("Resize", ["small", "", "by"], ["output"], mode="linear"))
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    with pytest.raises(SpecError, match="they end in a Resize"):
        import_network(saved(model, tmp_path), None)


@pytest.mark.parametrize(
    ("image", "output", "shape", "stem"),
    [
        (SQUARE, "heatmaps", (1, 21, 64, 64), "net"),
        (SQUARE, "output", (1, 21, 64, 64), "hand_pose"),
        (SQUARE, "output", (1, 16, 64, 64), "net"),
        (SQUARE, "output", (1, 17, 64, 64), "net"),
        ((1, 3, 256, 192), "output", (1, 14, 64, 48), "net"),  # the size of a crop of a person
        (SQUARE, "output", (1, 21, 64, 64), "seg_pose"),  # says both, and so nothing; see below
    ],
)
def test_maps_of_joints_are_still_taken(
    image: tuple[int, ...], output: str, shape: tuple[int, ...], stem: str, tmp_path: Path
) -> None:
    path = saved(pooled(image, {output: shape}), tmp_path, stem)
    if stem == "seg_pose":
        with pytest.raises(SpecError, match="Pascal VOC"):
            import_network(path, None)
        return
    made = import_network(path, None)
    assert made.recognized is not None and made.recognized.family == "heatmaps"
    assert len(made.spec.skeleton) == shape[1]


@pytest.mark.parametrize(
    ("image", "output", "size", "said"),
    [
        (SQUARE, "output", (64, 64), True),
        (SQUARE, "heatmaps", (64, 64), False),
        ((1, 3, 256, 192), "output", (64, 48), False),  # the size of a crop of a person
    ],
)
@pytest.mark.parametrize("channels", [16, 17])
def test_maps_that_nothing_else_calls_joints_are_a_guess(
    image: tuple[int, ...], output: str, size: tuple[int, int], said: bool, channels: int, tmp_path: Path
) -> None:
    made = import_network(saved(pooled(image, {output: (1, channels, *size)}), tmp_path), None)
    assert made.recognized is not None
    found = [guess.reason for guess in made.recognized.guesses if guess.field == "codec.type"]
    assert len(found) == said and all(f"labels pixels with {channels} classes" in reason for reason in found)


@pytest.mark.parametrize("channels", [16, 17])
def test_probabilities_of_classes_are_refused_where_the_graph_has_no_softmax(channels: int, tmp_path: Path) -> None:
    """A Softmax that is written as Exp, ReduceSum and Div."""
    model = pooled(SQUARE, {"output": (1, channels, 64, 64)})
    model.graph.node[-1].output[0] = "logits"
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "axes"))
    model.graph.node.extend(
        [
            helper.make_node("Exp", ["logits"], ["exp"]),
            helper.make_node("ReduceSum", ["exp", "axes"], ["sum"]),
            helper.make_node("Div", ["exp", "sum"], ["output"]),
        ]
    )
    path = saved(model, tmp_path)
    with pytest.raises(SpecError, match=f"its {channels} maps sum to 1 at each pixel"):
        import_network(path, None)
    assert import_network(path, {"family": "heatmaps"}).spec.codec.name == "heatmap"


@pytest.mark.parametrize(
    ("output", "stem", "table"),
    [("output", "net", {"family": "associative-embedding"}), ("output", "pose_hrnet_w32", None), ("pose", "net", None)],
)
def test_joints_and_tags_in_one_output(output: str, stem: str, table: dict[str, Any] | None, tmp_path: Path) -> None:
    model = pooled((1, 3, 512, 512), {output: (1, 34, 128, 128)})
    made = import_network(saved(model, tmp_path, stem), table)
    assert made.spec.codec.name == "associative" and len(made.spec.skeleton) == 17


def test_a_spec_says_that_ambiguous_maps_are_joints(tmp_path: Path) -> None:
    made = import_network(saved(pooled(SQUARE, {"output": (1, 21, 64, 64)}), tmp_path), {"family": "heatmaps"})
    assert made.spec.skeleton.name == "hand21"


@pytest.mark.parametrize("kind", ["SegformerForSemanticSegmentation", "DPTForDepthEstimation"])
def test_a_config_of_hugging_face_names_the_task(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [kind]}))
    with pytest.raises(SpecError, match=kind):
        import_network(saved(pooled(SQUARE, {"output": (1, 17, 64, 64)}), tmp_path), None)


def test_metadata_that_names_another_task(tmp_path: Path) -> None:
    model = pooled(SQUARE, {"output": (1, 17, 64, 64)})
    said: dict[str, Any] = {"task": "segment", "names": "{0: 'person'}"}
    for key, value in said.items():
        set_metadata(model, key, value)
    with pytest.raises(SpecError, match="its task is 'segment'"):
        import_network(saved(model, tmp_path), None)
