"""Detectors as person finders: real ones against the published pre- and post-processing, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from edgepose._checks import Array
from edgepose.api.build import build
from edgepose.api.detector import open_finder as open_network
from edgepose.api.request import BuildOptions
from edgepose.backends.session import OpenOptions
from edgepose.errors import EdgeposeError, SpecError, UsageError
from edgepose.kernels.cropping import frame_box
from edgepose.media.images import read_image
from edgepose.runtime.finders import open_finder
from edgepose.runtime.finders.network import NetworkFinder

pytest.importorskip("openvino")
MODELS = ("yolox_nano", "rtmdet_nano")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEPOSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def file_of(data_root: Path, name: str) -> Path:
    path = data_root.parent / "models" / f"{name}.onnx"
    if not path.is_file():
        pytest.skip(f"no detector at {path}")
    return path


@pytest.fixture(scope="module", params=MODELS)
def detector(request: pytest.FixtureRequest, data_root: Path, cache: None) -> Iterator[tuple[str, Path, NetworkFinder]]:
    path = file_of(data_root, request.param)
    with open_finder(str(path), OpenOptions(threads=1)) as opened:
        assert isinstance(opened, NetworkFinder)
        yield request.param, path, opened


# --- The published pre- and post-processing, written independently of the library -------------------------------------


def published_canvas(image: Array, side: int) -> tuple[Array, int, int]:
    """YOLOX's and rtmlib's letterbox: truncated size, top left, on 114. In float, where they round to bytes."""
    ratio = min(side / image.shape[0], side / image.shape[1])
    width, height = int(image.shape[1] * ratio), int(image.shape[0] * ratio)
    canvas = np.full((side, side, 3), 114, np.float32)
    canvas[:height, :width] = cv2.resize(image.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return canvas, width, height


def published_people(name: str, session: onnxruntime.InferenceSession, pixels: Array) -> Array:
    """[P, 5] in pixels of the canvas counted from its edge, best first."""
    outputs = session.run(None, {session.get_inputs()[0].name: pixels})
    if name == "rtmdet_nano":
        dets, labels = outputs[0][0], outputs[1][0]
        return np.asarray(dets[(labels == 0) & (dets[:, 4] > 0.3)])
    rows, found, at = outputs[0][0].astype(np.float64), [], 0
    for stride in (8, 16, 32):
        for y in range(416 // stride):
            for x in range(416 // stride):
                row, at = rows[at], at + 1
                if row[4] * row[5] > 0.3:
                    cx, cy = (row[0] + x) * stride, (row[1] + y) * stride
                    w, h = np.exp(row[2]) * stride, np.exp(row[3]) * stride
                    found.append([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, row[4] * row[5]])
    kept: list[list[float]] = []
    for row in sorted(found, key=lambda item: -item[4]):
        if all(overlap(row, other) <= 0.45 for other in kept):
            kept.append(row)
    return np.array(kept).reshape(-1, 5)


def overlap(a: Array | list[float], b: Array | list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return float(shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared))


def normalized(name: str, canvas: Array) -> Array:
    if name == "rtmdet_nano":
        canvas = (canvas - np.float32([103.53, 116.28, 123.675])) / np.float32([57.375, 57.12, 58.395])
    return np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32)


def photographs(data_root: Path, count: int = 12) -> list[Path]:
    files = sorted((data_root / "coco-mini" / "val2017").glob("*.jpg"))[:count]
    if not files:
        pytest.skip("no photographs of coco-mini")
    return files


def test_boxes_are_those_of_the_published_code(detector: tuple[str, Path, NetworkFinder], data_root: Path) -> None:
    """The same canvas gives the same boxes to 1e-3 px; pixels of both canvases differ by 1e-4 levels."""
    name, path, finder = detector
    session = onnxruntime.InferenceSession(str(path))
    pipeline, people, worst = finder.pipeline, 0, 0.0
    side = pipeline.spec.input.size[0]
    for file in photographs(data_root):
        image = read_image(file)
        frame = (image.shape[0], image.shape[1])
        canvas, width, height = published_canvas(image, side)
        pixels = normalized(name, canvas)
        mine, inverse = pipeline.preprocess(image, frame_box(frame))  # type: ignore[attr-defined]
        assert np.abs(mine - pixels).max() < 1e-4
        expected = published_people(name, session, pixels)
        decoded = pipeline.decode(pipeline.infer(pixels), inverse, frame_box(frame))  # type: ignore[attr-defined]
        assert len(decoded) == len(expected)
        resized = np.array([frame[1] / width, frame[0] / height] * 2)
        worst = max(worst, np.abs(decoded.boxes_xyxy - (expected[:, :4] * resized - 0.5)).max(initial=0))
        assert np.abs(decoded.box_scores - expected[:, 4]).max(initial=0) < 1e-4
        people += len(expected)
        boxes, scores = finder(image, file.name, None)
        assert (boxes >= -0.5).all() and (boxes[:, 2:] <= np.array(frame[::-1]) - 0.5).all()
        assert len(scores) == len(expected)
    assert people > 10
    # OpenVINO adds in another order than ONNX Runtime, which alone moves edges by up to 0.01 px of these images
    assert worst < 2e-2


def test_the_rewritten_graph_gives_the_boxes_of_the_file(
    detector: tuple[str, Path, NetworkFinder], data_root: Path
) -> None:
    """In one runtime, ONNX Runtime, boxes are equal to 1e-3 px."""
    from edgepose.backends.onnxruntime import OnnxRuntimeSession
    from edgepose.export.foreign import import_onnx
    from edgepose.runtime.host import HostPipeline

    name, path, _ = detector
    session = onnxruntime.InferenceSession(str(path))
    model, spec = import_onnx(path, None)
    with OnnxRuntimeSession(model.SerializeToString(), OpenOptions()) as opened:
        pipeline = HostPipeline(opened, spec)
        for file in photographs(data_root):
            image = read_image(file)
            frame = (image.shape[0], image.shape[1])
            canvas, width, height = published_canvas(image, spec.input.size[0])
            pixels = normalized(name, canvas)
            expected = published_people(name, session, pixels)
            found = pipeline.decode(
                pipeline.infer(pixels), pipeline.preprocess(image, frame_box(frame))[1], frame_box(frame)
            )
            resized = np.array([frame[1] / width, frame[0] / height] * 2)
            assert np.abs(found.boxes_xyxy - (expected[:, :4] * resized - 0.5)).max(initial=0) < 1e-3


@pytest.mark.parametrize("name", ["000000397133", "000000181303", "000000549055", "000000552775"])
def test_people_on_photographs_are_found(detector: tuple[str, Path, NetworkFinder], data_root: Path, name: str) -> None:
    root = data_root / "coco-mini"
    labels = json.loads((root / "annotations" / "person_keypoints_val2017.json").read_text())
    path = root / "val2017" / f"{name}.jpg"
    if not path.is_file():
        pytest.skip(f"no {path.name} in this copy of coco-mini")
    boxes, scores = detector[2](read_image(path), path.name, None)
    people = [entry for entry in labels["annotations"] if entry["image_id"] == int(name) and entry["area"] > 9000]
    assert people
    for x, y, width, height in (entry["bbox"] for entry in people):
        assert max(overlap([x, y, x + width, y + height], box) for box in boxes) > 0.5
    assert (np.diff(scores) <= 0).all()


def test_nobody_is_found_in_noise(detector: tuple[str, Path, NetworkFinder]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    boxes, scores = detector[2](noise, "noise", None)
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_what_was_guessed_is_said_once(detector: tuple[str, Path, NetworkFinder]) -> None:
    name, path, finder = detector
    assert any(f"detector {name}.onnx: contract: input.mean" in line for line in finder.notes())
    with open_finder(str(path), OpenOptions()) as again:  # from the cache
        assert isinstance(again, NetworkFinder)
        assert again.notes() == []


def test_an_engine_folder_and_a_published_folder_are_detectors(data_root: Path, tmp_path: Path, cache: None) -> None:
    path = file_of(data_root, "yolox_nano")
    image = read_image(photographs(data_root)[0])
    options = BuildOptions(precisions=("fp32", "fp16"), backends=("onnxruntime",))
    engines = build(path, out=tmp_path / "engines", options=options).engines
    folder = tmp_path / "yolox"
    folder.mkdir()
    shutil.copy(path, folder / "end2end.onnx")
    found = []
    for text in (str(path), *map(str, engines), str(folder)):
        with open_finder(text, OpenOptions(threads=1)) as finder:
            found.append(finder(image, "", None)[0])
    assert len(found) == 4
    assert len(found[0]) > 0
    for boxes in found[1:]:
        assert boxes.shape == found[0].shape
        assert np.abs(boxes - found[0]).max() < 1.5  # of FP16; FP32 is closer


def test_a_detector_that_is_none_is_refused(tmp_path: Path, cache: None) -> None:
    with (
        pytest.raises(UsageError, match=r"detector 'lite' finds the 14 joints .*give a person detector"),
        open_network("lite", OpenOptions()),
    ):
        pass
    with pytest.raises(UsageError, match="detector 'wohle': expected whole, "), open_finder("wohle", OpenOptions()):
        pass
    with pytest.raises(EdgeposeError, match="no ONNX file at"), open_finder("missing.onnx", OpenOptions()):
        pass
    folder = tmp_path / "empty"
    folder.mkdir()
    with pytest.raises(EdgeposeError), open_finder(str(folder), OpenOptions()):
        pass


def test_an_unknown_network_says_what_was_found(tmp_path: Path, cache: None) -> None:
    import onnx
    from published import returning

    path = tmp_path / "net.onnx"
    onnx.save(returning({"mask": np.zeros((3, 20), np.float32)}, size=(64, 96)), path)
    with pytest.raises(SpecError, match="is not recognized"), open_finder(str(path), OpenOptions()):
        pass
