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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import onnx

from edgepose.graph.adapters.inputs import to_float_nchw
from edgepose.graph.adapters.outputs import to_joints

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


def movenet(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite MoveNet SinglePose Lightning: uint8 [1, 192, 192, 3] -> [1, 1, 17, 3] of y, x, score."""
    return to_joints(to_float_nchw(model), model.graph.output[0].name, fields=("y", "x", "score"), count=17)


def blazepose(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite BlazePose GHUM lite: [1, 256, 256, 3] -> [1, 195], 39 times x, y, z, visibility, presence."""
    return to_joints(
        to_float_nchw(model),
        "Identity",
        fields=("x", "y", "z", "score", "presence"),
        count=39,
        keep=COCO_OF_BLAZEPOSE,
        pixels_of=(256, 256),
        logits=True,
    )


# name -> file, contract and rewriting of the networks whose weights are packed
PACKED: dict[str, tuple[str, str, Callable[[onnx.ModelProto], onnx.ModelProto]]] = {
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
        onnx.save(rewrite(model), str(path))
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
