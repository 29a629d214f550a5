"""Coordinate spaces: the half-pixel rule against OpenCV's pixels, and the algebra of the maps."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepose.pose.geometry import (
    apply_affine,
    box_of_joints,
    clip_boxes,
    compose_affine,
    corner_affine,
    crop_affine,
    grid_affine,
    invert_affine,
    letterbox_affine,
)

sides = st.integers(1, 400)
sizes = st.tuples(sides, sides)
numbers = st.floats(-500, 500)


@st.composite
def crops(draw):
    """Any crop: (matrix, box, size, keyword arguments)."""
    x, y, w, h = draw(numbers), draw(numbers), draw(st.floats(1, 400)), draw(st.floats(1, 400))
    box, size = np.array([x, y, x + w, y + h]), draw(st.tuples(st.integers(16, 400), st.integers(16, 400)))
    how = {
        "padding": draw(st.floats(1, 2)),
        "rotation_deg": draw(st.floats(-180, 180)),
        "mirror": draw(st.booleans()),
    }
    return crop_affine(box, size, **how), box, size, how


def blob(xy, size, sigma):
    y, x = np.mgrid[: size[0], : size[1]]
    return np.exp(-((x - xy[0]) ** 2 + (y - xy[1]) ** 2) / (2 * sigma**2))


def centroid(plane):
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]]
    return np.array([(plane * x).sum(), (plane * y).sum()]) / plane.sum()


@pytest.mark.parametrize(
    ("source", "target", "how"),
    [
        ((120, 160), (30, 40), cv2.INTER_AREA),
        ((120, 160), (60, 40), cv2.INTER_AREA),
        ((120, 160), (480, 640), cv2.INTER_LINEAR),
        ((120, 160), (300, 240), cv2.INTER_CUBIC),
    ],
)
def test_a_spot_moves_as_opencv_resizes(source, target, how):
    xy = np.array([70.3, 55.8])
    small = cv2.resize(blob(xy, source, 6.0), target[::-1], interpolation=how)
    assert np.abs(centroid(small) - apply_affine(grid_affine(source, target), xy)).max() < 0.02


def test_downsampling_is_the_mean_of_pixels():
    """Cell (i, j) is the mean of a 4x4 block; the block's middle is where the grid map puts the cell."""
    to_image = grid_affine((12, 16), (48, 64))
    y, x = np.mgrid[:48, :64].astype(np.float64)
    blocks = np.stack([cv2.resize(plane, (16, 12), interpolation=cv2.INTER_AREA) for plane in (x, y)], axis=-1)
    cells = np.stack(np.meshgrid(np.arange(16), np.arange(12)), axis=-1)
    assert np.allclose(apply_affine(to_image, cells), blocks)


@given(sizes, sizes)
def test_grids_have_the_same_edges(source, target):
    """The outer edges of the first and the last pixel stay where they are."""
    matrix = grid_affine(source, target)
    edges = np.array([[-0.5, -0.5], [source[1] - 0.5, source[0] - 0.5]])
    assert np.allclose(apply_affine(matrix, edges), [[-0.5, -0.5], [target[1] - 0.5, target[0] - 0.5]])
    assert np.allclose(invert_affine(matrix), grid_affine(target, source), atol=1e-6)


@given(sizes, sizes, sizes)
def test_grids_compose(a, b, c):
    assert np.allclose(compose_affine(grid_affine(b, c), grid_affine(a, b)), grid_affine(a, c))


@given(sizes, sizes)
def test_corners_stay_corners(source, target):
    """The centers of the corner pixels; where an axis is one pixel, its middle is all there is."""
    matrix = corner_affine(source, target)
    ends = []
    for size, other in ((source, target), (target, source)):
        first = [0 if min(pair) > 1 else (pair[0] - 1) / 2 for pair in zip(size[::-1], other[::-1], strict=True)]
        ends.append(np.array([first, [count - 1 - low for count, low in zip(size[::-1], first, strict=True)]]))
    assert np.allclose(apply_affine(matrix, ends[0]), ends[1])
    assert np.allclose(invert_affine(matrix), corner_affine(target, source), atol=1e-6)


def test_corner_affine_by_hand():
    """256x192 to 64x48: one heatmap pixel is 255/63 and 191/47 crop pixels, not 4."""
    matrix = corner_affine((64, 48), (256, 192))
    assert np.allclose(
        apply_affine(matrix, np.array([[0.0, 0], [47, 63], [1, 1]])), [[0, 0], [191, 255], [191 / 47, 255 / 63]]
    )
    one = corner_affine((1, 1), (256, 192))
    assert apply_affine(one, np.zeros(2)).tolist() == [95.5, 127.5]


@given(crops(), st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5))
def test_there_and_back(crop, points):
    matrix = crop[0]
    xy = np.array(points)
    assert np.allclose(apply_affine(invert_affine(matrix), apply_affine(matrix, xy)), xy, atol=1e-6)
    identity = compose_affine(invert_affine(matrix), matrix)
    assert np.allclose(identity, [[1, 0, 0], [0, 1, 0]], atol=1e-6)


@given(crops())
def test_a_crop_is_a_similarity_that_holds_the_box(crop):
    matrix, box, (height, width), how = crop
    linear = matrix[:, :2]
    scale = np.sqrt(abs(np.linalg.det(linear)))
    assert np.allclose(linear @ linear.T, scale**2 * np.eye(2))
    assert (np.linalg.det(linear) < 0) == how["mirror"]
    center = (box[:2] + box[2:]) / 2
    assert np.allclose(apply_affine(matrix, center), [(width - 1) / 2, (height - 1) / 2], atol=1e-6)
    share = scale * (box[2:] - box[:2]) / [width, height]  # how much of the crop the box takes
    assert share.max() == pytest.approx(1 / how["padding"])


def test_rotation_turns_clockwise_on_screen():
    """What was right of the center is below it after a quarter turn; the mirror comes after the turn."""
    box = np.array([0, 0, 100, 100.0])
    right = np.array([90.0, 50])
    turned = apply_affine(crop_affine(box, (100, 100), padding=1.0, rotation_deg=90), right)
    assert np.allclose(turned, [49.5, 89.5])
    tilted = apply_affine(crop_affine(box, (100, 100), padding=1.0, rotation_deg=30), right)
    mirrored = apply_affine(crop_affine(box, (100, 100), padding=1.0, rotation_deg=30, mirror=True), right)
    assert np.allclose(mirrored, [99 - tilted[0], tilted[1]])


def test_the_mirror_is_numpys():
    """A crop of an image mirrored by the matrix is the crop's pixels in reverse: no half pixel is lost."""
    image = np.random.default_rng(0).integers(0, 256, (90, 70), np.uint8)
    box = np.array([-0.5, -0.5, 69.5, 89.5])
    for size in ((90, 70), (45, 35)):
        plain, mirrored = (
            cv2.warpAffine(image, crop_affine(box, size, padding=1.0, mirror=mirror), size[::-1])
            for mirror in (False, True)
        )
        assert np.abs(plain[:, ::-1].astype(int) - mirrored).max() <= 1
    whole = cv2.warpAffine(image, crop_affine(box, (90, 70), padding=1.0), (70, 90))
    assert np.array_equal(whole, image)


def test_crop_boxes_that_are_odd():
    assert np.allclose(
        crop_affine(np.array([5, 5, 5, 5.0]), (64, 48)), crop_affine(np.array([4.5, 4.5, 5.5, 5.5]), (64, 48))
    )
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="box_xyxy: expected finite"):
            crop_affine(np.array([0, 0, bad, 1]), (64, 48))
    with pytest.raises(ValueError, match=r"box_xyxy: expected shape \[4\]"):
        crop_affine(np.zeros((1, 4)), (64, 48))


def test_singular_maps_are_refused():
    good = grid_affine((3, 4), (5, 6))
    singular, shifted = np.array([[1, 2, 0], [2, 4, 0]]), np.array([[1, 0, np.nan], [0, 1, 0]])
    for bad in (np.zeros((2, 3)), singular, shifted, np.array([[np.nan, 0, 0], [0, 1, 0]])):
        with pytest.raises(ValueError, match="invertible"):
            invert_affine(bad)
        with pytest.raises(ValueError, match="invertible"):
            invert_affine(np.stack([good, bad]))
    assert np.allclose(invert_affine(np.stack([good, good]))[1], invert_affine(good))


@given(st.integers(1, 4), st.integers(0, 3), st.integers(0, 2**31))
def test_a_matrix_for_each_person(n, k, seed):
    rng = np.random.default_rng(seed)
    matrices, xy = rng.normal(size=(n, 2, 3)), rng.normal(size=(n, k, 2))
    expected = np.stack([apply_affine(matrix, points) for matrix, points in zip(matrices, xy, strict=True)])
    assert np.allclose(apply_affine(matrices, xy), expected)
    assert np.allclose(apply_affine(matrices, xy[:, 0]) if k else 0, expected[:, 0] if k else 0)


def test_boxes():
    xy = np.array([[1, 2], [50, 60], [3, 1]], np.float32)
    assert box_of_joints(xy, np.array([True, False, True])).tolist() == [1, 1, 3, 2]
    with pytest.raises(ValueError, match="at least one labeled"):
        box_of_joints(xy, np.zeros(3, bool))
    boxes = np.array([[-9, -9, 900, 900], [3, 4, 5, 6.0]])
    assert clip_boxes(boxes, (60, 80)).tolist() == [[-0.5, -0.5, 79.5, 59.5], [3, 4, 5, 6]]


def frame(size):
    return np.array([-0.5, -0.5, size[1] - 0.5, size[0] - 0.5])


def ultralytics(size, canvas):
    """(resized width and height, left and top) of LetterBox and ops.scale_boxes: a rounded size in the middle."""
    ratio = min(canvas[0] / size[0], canvas[1] / size[1])
    new = round(size[1] * ratio), round(size[0] * ratio)
    return new, (round((canvas[1] - new[0]) / 2 - 0.1), round((canvas[0] - new[1]) / 2 - 0.1))


def yolox(size, canvas):
    """The same of YOLOX's preproc: a truncated size at the top left."""
    ratio = min(canvas[0] / size[0], canvas[1] / size[1])
    return (int(size[1] * ratio), int(size[0] * ratio)), (0, 0)


def super_gradients(size, canvas):
    """The same of YOLO-NAS and of MoveNet MultiPose: a rounded size at the top left."""
    return ultralytics(size, canvas)[0], (0, 0)


def stretched(size, canvas):
    return canvas[::-1], (0, 0)


RULES = {
    ultralytics: {"place": "center", "resize": "round"},
    yolox: {"place": "top_left", "resize": "truncate"},
    super_gradients: {"place": "top_left", "resize": "round"},
    stretched: {"place": "stretch"},
}


@pytest.mark.parametrize("project", RULES)
@given(
    size=st.tuples(st.integers(30, 3000), st.integers(30, 3000)),
    canvas=st.sampled_from([(640, 640), (416, 416), (256, 384)]),
)
def test_a_letterbox_is_that_of_the_project(project, size, canvas):
    """Pixels are where the project's resizing puts them: OpenCV maps x to (x + 0.5) * new / old - 0.5."""
    new, start = project(size, canvas)
    if min(new) < 1:
        return
    matrix = letterbox_affine(frame(size), canvas, **RULES[project])
    xy = np.array([[0.0, 0.0], [size[1] - 1.0, size[0] - 1.0], [size[1] / 3, size[0] / 7]])
    expected = (xy + 0.5) * np.array(new) / size[::-1] - 0.5 + np.array(start)
    np.testing.assert_allclose(apply_affine(matrix, xy), expected, atol=1e-3)
    # The way back of the project divides by one ratio, which is the same where the resized size is a whole number.
    if project is not stretched:
        ratio = min(canvas[0] / size[0], canvas[1] / size[1])
        theirs = (expected + 0.5 - np.array(start)) / ratio - 0.5
        exact = np.allclose(np.array(new) / size[::-1], ratio, rtol=0, atol=1e-12)
        limit = 1e-3 if exact else (1.0 if project is yolox else 0.5) / ratio + 1e-3
        assert np.abs(theirs - xy).max() <= limit


def test_a_letterbox_by_hand():
    """427 x 640 in 640 x 640 is neither resized nor rounded, and 213 rows are free: 106 above, 107 below."""
    matrix = letterbox_affine(frame((427, 640)), (640, 640), place="center", resize="round")
    np.testing.assert_allclose(matrix, [[1, 0, 0], [0, 1, 106]], atol=1e-12)
    exact = letterbox_affine(frame((427, 640)), (640, 640))
    np.testing.assert_allclose(exact, crop_affine(frame((427, 640)), (640, 640), padding=1.0), atol=1e-12)
    with pytest.raises(ValueError, match="'middle'"):
        letterbox_affine(frame((4, 4)), (8, 8), place="middle")
    with pytest.raises(ValueError, match="finite"):
        letterbox_affine(np.array([0, 0, np.nan, 4]), (8, 8))
