"""The float forms of third-party networks compute what the published files compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

ort = pytest.importorskip("onnxruntime")


@pytest.fixture
def models(data_root: Path) -> Path:
    folder = data_root.parent / "models"
    if not (folder / "pack.py").is_file():
        pytest.skip(f"no third-party networks in {folder}")
    return folder


def run(path: Path, values: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {session.get_inputs()[0].name: values})[0]
    return found


def unpacked(models: Path, file: str, out: Path) -> Path:
    import thirdparty

    model = onnx.load(str(models / file))
    thirdparty._unpacking(models).unpack(model)
    onnx.save(model, str(out))
    return out


def test_movenet(models: Path, tmp_path: Path) -> None:
    import thirdparty

    made = thirdparty.write_network("movenet-lightning", models, tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (192, 192, 3))
    found = run(Path(made.model), image.transpose(2, 0, 1)[None].astype(np.float32))
    plain = unpacked(models, "movenet-lightning-192.packed.onnx", tmp_path / "plain.onnx")
    wanted = run(plain, image[None].astype(np.uint8))  # y, x, score
    np.testing.assert_allclose(found[0], wanted[0, 0][:, [1, 0, 2]], atol=1e-6)


def test_blazepose(models: Path, tmp_path: Path) -> None:
    import thirdparty

    made = thirdparty.write_network("blazepose-lite", models, tmp_path)
    image = np.random.default_rng(0).random((256, 256, 3), np.float32)
    found = run(Path(made.model), image.transpose(2, 0, 1)[None])
    plain = unpacked(models, "blazepose-lite.packed.onnx", tmp_path / "plain.onnx")
    landmarks = run(plain, image[None]).reshape(39, 5)[list(thirdparty.COCO_OF_BLAZEPOSE)]
    np.testing.assert_allclose(found[0, :, :2], landmarks[:, :2] / 256, atol=1e-5)


@pytest.mark.parametrize("name", ["pp-tinypose", "pp-tinypose-aligned"])
def test_pp_tinypose_comes_with_its_contract(models: Path, tmp_path: Path, name: str) -> None:
    import thirdparty

    made = thirdparty.write_network(name, models, tmp_path)
    assert made.spec is not None
    assert "coco17" in made.spec.read_text()
