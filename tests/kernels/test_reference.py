"""`warp_normalize` against bilinear interpolation written out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgepose.artifacts.spec import InputSpec
from edgepose.kernels import warp_normalize
from edgepose.pose.geometry import apply_affine, crop_affine, invert_affine

OPENCV_ROUNDS_POSITIONS = int(cv2.__version__.partition(".")[0]) < 5


def picture(height=90, width=120, seed=0):
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)


def slow_warp(image, matrix, size):
    """[h, w, 3] float64 levels, zero outside."""
    ys, xs = np.mgrid[: size[0], : size[1]]
    x, y = np.moveaxis(apply_affine(invert_affine(matrix), np.stack([xs, ys], axis=-1).astype(float)), -1, 0)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    total = np.zeros((*size, 3))
    for row, wy in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, wx in ((left, 1 - (x - left)), (left + 1, x - left)):
            inside = (row >= 0) & (row < image.shape[0]) & (column >= 0) & (column < image.shape[1])
            pixel = image[row.clip(0, image.shape[0] - 1), column.clip(0, image.shape[1] - 1)]
            total += np.where(inside[..., None], pixel, 0) * (wx * wy)[..., None]
    return total


MATRICES = np.stack(
    [
        crop_affine(np.array([20.0, 10, 60, 80]), (64, 48)),
        crop_affine(np.array([-30.0, -20, 40, 50]), (64, 48)),  # hangs out of the image
        crop_affine(np.array([20.0, 10, 60, 80]), (64, 48), rotation_deg=33, mirror=True),
    ]
)


@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_is_its_slow_twin(color):
    spec = InputSpec(size=(64, 48), color=color)
    image = picture()
    crops = warp_normalize(image, MATRICES, spec)
    assert crops.shape == (3, 3, 64, 48)
    assert crops.dtype == np.float32
    assert crops.flags.c_contiguous
    for crop, matrix in zip(crops, MATRICES, strict=True):
        levels = slow_warp(image, matrix, (64, 48))
        ordered = levels if color == "bgr" else levels[..., ::-1]
        got = crop.transpose(1, 2, 0) * spec.std + spec.mean
        assert np.abs(got - ordered).max() < (4.5 if OPENCV_ROUNDS_POSITIONS else 0.51)


def test_the_copied_part_is_as_good_as_the_image(monkeypatch):
    image = picture(300, 400, seed=1)
    rng = np.random.default_rng(2)
    low = rng.uniform(-60, 300, (60, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 200, (60, 2))], axis=1)
    matrices = np.stack([crop_affine(b, (64, 48), rotation_deg=float(rng.uniform(-180, 180))) for b in boxes])
    spec = InputSpec(size=(64, 48), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    copied = warp_normalize(image, matrices, spec)
    monkeypatch.setattr("edgepose.kernels.reference.LARGEST_COPY", 0)
    whole = warp_normalize(image, matrices, spec)
    assert np.abs(copied - whole).max() <= 1  # a level apart where rounding is a tie
    assert (copied != whole).mean() < 1e-3


def test_levels_are_whole_and_outside_is_black():
    spec = InputSpec(size=(64, 48), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    crops = warp_normalize(picture() | 1, MATRICES, spec)
    assert np.array_equal(crops, np.rint(crops))
    far = crop_affine(np.array([1000.0, 1000, 1100, 1100]), (64, 48))
    assert not warp_normalize(picture(), far[None], spec).any()


def test_identity_is_exact():
    spec = InputSpec(size=(90, 120))
    image = picture()
    crop = warp_normalize(image, np.eye(3)[None, :2], spec)[0]
    expected = (image[..., ::-1].astype(np.float64) - spec.mean) / spec.std
    assert np.array_equal(crop, expected.transpose(2, 0, 1).astype(np.float32))


def test_size_stands_in_for_the_specs():
    small = warp_normalize(picture(), MATRICES, InputSpec(size=(64, 48)), size=(32, 24))
    assert np.array_equal(small, warp_normalize(picture(), MATRICES, InputSpec(size=(32, 24))))


def test_nobody():
    assert warp_normalize(picture(), np.zeros((0, 2, 3)), InputSpec()).shape == (0, 3, 256, 192)


def test_takes_a_view_of_an_image():
    image = picture()
    spec = InputSpec(size=(64, 48))
    view = image[5:80, 7:100]
    assert np.array_equal(warp_normalize(view, MATRICES, spec), warp_normalize(view.copy(), MATRICES, spec))


def test_wrong_arrays_are_named():
    spec = InputSpec()
    with pytest.raises(ValueError, match="image: expected shape"):
        warp_normalize(picture()[..., 0], MATRICES, spec)
    with pytest.raises(ValueError, match="image: expected dtype uint8"):
        warp_normalize(picture().astype(np.float32), MATRICES, spec)
    with pytest.raises(ValueError, match="matrices: expected shape"):
        warp_normalize(picture(), MATRICES[0], spec)
    for bad in (np.zeros((1, 2, 3)), np.full((1, 2, 3), np.nan), MATRICES * np.array([1, 1, np.inf])):
        with pytest.raises(ValueError, match="invertible"):
            warp_normalize(picture(), bad, spec)
