"""Third-party pose networks as float networks with contracts, made from `../shared/models` when a benchmark runs.

    python benchmarks/thirdparty.py --models ../shared/models --out networks

Nothing of these files is in the repository. `pack.py` beside them unpacks the weights. PP-TinyPose is taken as it is.
MoveNet and BlazePose take channels last and give their joints in forms of their own; they become networks that take
[1, 3, H, W] float32 and give joints (x, y, score) in units of the input, which codec "regression" reads. The nodes
between the input and the joints stay as they are.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MOVENET = """name = "movenet-lightning"
skeleton = "coco17"
input = { size = [192, 192], color = "rgb", mean = [0, 0, 0], std = [1, 1, 1] }
crop = { padding = 1.25 }
codec = { type = "regression", range = "unit" }
"""
BLAZEPOSE = """name = "blazepose-lite"
skeleton = "coco17"
input = { size = [256, 256], color = "rgb", mean = [0, 0, 0], std = [255, 255, 255] }
crop = { padding = 1.25 }
codec = { type = "regression", range = "unit" }
"""
# The joints of COCO among the 39 of BlazePose: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles.
COCO_OF_BLAZEPOSE = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)


@dataclass(frozen=True, kw_only=True)
class Network:
    """A float network and its contract.

    Attributes:
        model: A zoo name, or the ONNX file.
        spec: The spec.toml; None where the ONNX file holds its contract.
    """

    model: str
    spec: Path | None = None


def movenet(model: onnx.ModelProto) -> None:
    """Rewrite MoveNet SinglePose Lightning in place: uint8 [1, 192, 192, 3] -> [1, 1, 17, 3] of y, x, score."""
    nodes = list(model.graph.node)
    if nodes[0].op_type != "Cast":
        raise SystemExit(f"MoveNet: expected a Cast of the uint8 input first, got {nodes[0].op_type}")
    found = model.graph.output[0].name
    first = helper.make_node("Transpose", ["image"], [nodes[0].output[0]], "to_nhwc", perm=[0, 2, 3, 1])
    order = _constant(model, "order_xys", np.array([1, 0, 2], np.int64))
    shape = _constant(model, "shape_of_joints", np.array([1, 17, 3], np.int64))
    last = [
        helper.make_node("Gather", [found, order], ["xys"], "xys", axis=3),
        helper.make_node("Reshape", ["xys", shape], ["joints"], "joints"),
    ]
    _replace(model, [first, *nodes[1:], *last], size=192)


def blazepose(model: onnx.ModelProto) -> None:
    """Rewrite BlazePose GHUM lite in place: [1, 256, 256, 3] -> [1, 195], 39 times x, y, z, visibility, presence."""
    first = helper.make_node("Transpose", ["image"], [model.graph.input[0].name], "to_nhwc", perm=[0, 2, 3, 1])
    constants = {
        "shape_of_landmarks": np.array([1, 39, 5], np.int64),
        "coco": np.array(COCO_OF_BLAZEPOSE, np.int64),
        "at_xy": np.array([0, 1], np.int64),
        "at_visibility": np.array([3], np.int64),
        "pixels": np.float32(256),
    }
    for name, value in constants.items():
        _constant(model, name, value)
    last = [
        helper.make_node("Reshape", ["Identity", "shape_of_landmarks"], ["landmarks"], "landmarks"),
        helper.make_node("Gather", ["landmarks", "coco"], ["landmarks17"], "landmarks17", axis=1),
        helper.make_node("Gather", ["landmarks17", "at_xy"], ["xy_px"], "xy_px", axis=2),
        helper.make_node("Div", ["xy_px", "pixels"], ["xy_unit"], "xy_unit"),
        helper.make_node("Gather", ["landmarks17", "at_visibility"], ["visibility"], "visibility", axis=2),
        helper.make_node("Sigmoid", ["visibility"], ["score"], "score"),
        helper.make_node("Concat", ["xy_unit", "score"], ["joints"], "joints", axis=2),
    ]
    _replace(model, [first, *model.graph.node, *last], size=256)


def _constant(model: onnx.ModelProto, name: str, value: np.ndarray | np.float32) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def _replace(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], size: int) -> None:
    """Give the graph the input `image` and the output `joints`, and of the nodes those that lead to it."""
    graph = model.graph
    needed, kept = {"joints"}, []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    for field in (graph.node, graph.initializer, graph.input, graph.output, graph.value_info):
        del field[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(weights)
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, size, size]))
    graph.output.append(helper.make_tensor_value_info("joints", TensorProto.FLOAT, [1, 17, 3]))
    onnx.checker.check_model(model)


# name -> file, contract and rewriting of the networks whose weights are packed
PACKED: dict[str, tuple[str, str, Callable[[onnx.ModelProto], None]]] = {
    "movenet-lightning": ("movenet-lightning-192.packed.onnx", MOVENET, movenet),
    "blazepose-lite": ("blazepose-lite.packed.onnx", BLAZEPOSE, blazepose),
}
PLAIN = {"pp-tinypose": "pp_tinypose_256x192", "pp-tinypose-aligned": "pp_tinypose_256x192_aligned"}
NAMES = (*PLAIN, *PACKED)


def write_network(name: str, models: Path, out: Path) -> Network:
    """Write OUT/NAME.onnx and OUT/NAME.toml.

    Args:
        name: One of `NAMES`.
        models: The folder of the published files.
        out: The folder to write to; it is made where it is missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    path, spec = out / f"{name}.onnx", out / f"{name}.toml"
    if name in PLAIN:
        shutil.copyfile(models / f"{PLAIN[name]}.onnx", path)
        shutil.copyfile(models / f"{PLAIN[name]}.toml", spec)
    else:
        file, contract, rewrite = PACKED[name]
        model = onnx.load(str(models / file))
        _unpacking(models).unpack(model)
        rewrite(model)
        onnx.save(model, str(path))
        spec.write_text(contract)
    return Network(model=str(path), spec=spec)


def _unpacking(models: Path) -> ModuleType:
    """Import pack.py, which lies beside the packed networks."""
    found = importlib.util.spec_from_file_location("pack_of_third_party_networks", models / "pack.py")
    if found is None or found.loader is None:
        raise SystemExit(f"no pack.py in {models}")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("../shared/models"))
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    for name in NAMES:
        print(write_network(name, given.models, given.out).model)


if __name__ == "__main__":
    main()
