"""Heatmaps: encode against a slow twin, decode round trips, ties, borders, the flip merge."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgepose.artifacts.spec import spec_from_dict
from edgepose.codecs import flips, grids, heatmap, refine
from edgepose.errors import ModelError, SpecError
from edgepose.kernels import cuda, heatmap_peak
from edgepose.pose.geometry import apply_affine, corner_affine, crop_affine, grid_affine, invert_affine
from edgepose.pose.skeletons import SKELETONS

SIZE = (64, 48)


def slow_encode(xy, labeled, size, sigma):
    maps = np.zeros((len(xy), *size))
    for k, (x, y) in enumerate(xy):
        outside = max(-0.5 - x, -0.5 - y, x - (size[1] - 0.5), y - (size[0] - 0.5))
        if not labeled[k] or outside > 3 * sigma:
            continue
        for row in range(size[0]):
            for column in range(size[1]):
                maps[k, row, column] = np.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * sigma**2))
    return maps


def joints_inside(margin, count=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform((margin, margin), (SIZE[1] - 1 - margin, SIZE[0] - 1 - margin), (1, count, 2))


def test_encode_is_its_slow_twin():
    rng = np.random.default_rng(1)
    xy = rng.uniform(-9, 60, (12, 2))
    labeled = rng.random(12) < 0.7
    maps = heatmap.encode(xy, labeled, (20, 16), 1.5)
    assert maps.dtype == np.float32
    assert np.abs(maps - slow_encode(xy, labeled, (20, 16), 1.5)).max() < 1e-5


def test_encode_takes_leading_axes():
    xy = joints_inside(0, 6).reshape(2, 3, 2)
    labeled = np.array([[True, False, True], [True, True, True]])
    maps = heatmap.encode(xy, labeled, SIZE, 2.0)
    assert maps.shape == (2, 3, *SIZE)
    assert np.array_equal(maps[1], heatmap.encode(xy[1], labeled[1], SIZE, 2.0))
    assert not maps[0, 1].any()


def test_encode_outside():
    xy = np.array([[-0.5 - 5.9, 10], [-0.5 - 6.1, 10], [10, 63.5 + 5.9], [10, 63.5 + 6.1], [np.nan, 3]])
    maps = heatmap.encode(xy, np.ones(5, bool), SIZE, 2.0)
    assert [bool(m.any()) for m in maps] == [True, False, True, False, False]
    assert heatmap.visible(xy, np.ones(5, bool), SIZE, 2.0).tolist() == [True, False, True, False, False]
    assert np.isfinite(maps).all()


@pytest.mark.parametrize("method", ["dark", "udp"])
@pytest.mark.parametrize("sigma", [1.5, 2.0, 3.0])
def test_the_newton_step_finds_the_center(sigma, method):
    xy = joints_inside(4 * sigma)
    found, scores = heatmap.decode(heatmap.encode(xy, np.ones(xy.shape[:2], bool), SIZE, sigma), method, sigma=sigma)
    assert found.dtype == scores.dtype == np.float32
    assert np.abs(found - xy).max() < 0.02
    assert (scores > 0.85).all()


@pytest.mark.parametrize("method", ["dark", "udp"])
def test_near_the_border_it_stays_within_a_pixel(method):
    xy = joints_inside(0, 300, seed=3)
    found, _ = heatmap.decode(heatmap.encode(xy, np.ones((1, 300), bool), SIZE, 2.0), method)
    assert np.abs(found - xy).max() < 1


def test_dark_is_the_paper():
    """Against the published procedure: blur the whole map with OpenCV, logarithm, one Newton step."""
    rng = np.random.default_rng(5)
    xy = joints_inside(9, 20, seed=5)
    maps = heatmap.encode(xy, np.ones((1, 20), bool), SIZE, 2.0) + rng.normal(0, 0.02, (1, 20, *SIZE))
    found, _ = heatmap.decode(maps.astype(np.float32), "dark")
    for raw, got in zip(maps[0], found[0], strict=True):
        y, x = np.unravel_index(raw.argmax(), SIZE)
        blurred = cv2.GaussianBlur(raw, (11, 11), 0, borderType=cv2.BORDER_CONSTANT)
        log = np.log(np.maximum(blurred * raw.max() / blurred.max(), 1e-10))
        slope = 0.5 * np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]])
        dxx = 0.25 * (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2])
        dyy = 0.25 * (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x])
        diagonal = log[y + 1, x + 1] + log[y - 1, x - 1] - log[y - 1, x + 1] - log[y + 1, x - 1]
        step = -np.linalg.solve(np.array([[dxx, 0.25 * diagonal], [0.25 * diagonal, dyy]]), slope)
        assert np.abs(step).max() < 1
        assert np.abs(got - (np.array([x, y]) + step)).max() < 1e-3


def test_udp_is_the_published_step():
    """Against the published procedure without its clipping: blur the whole map, logarithm, one Newton step."""
    rng = np.random.default_rng(6)
    xy = joints_inside(5, 40, seed=6)
    maps = heatmap.encode(xy, np.ones((1, 40), bool), SIZE, 2.0) + rng.normal(0, 0.02, (1, 40, *SIZE))
    found, _ = heatmap.decode(maps.astype(np.float32), "udp")
    for raw, got in zip(maps[0], found[0], strict=True):
        y, x = np.unravel_index(raw.argmax(), SIZE)
        log = np.log(np.maximum(cv2.GaussianBlur(raw, (11, 11), 0, borderType=cv2.BORDER_CONSTANT), 1e-10))
        at = {(i, j): log[y + j, x + i] for i in (-1, 0, 1) for j in (-1, 0, 1)}
        slope = 0.5 * np.array([at[1, 0] - at[-1, 0], at[0, 1] - at[0, -1]])
        dxx, dyy = at[1, 0] - 2 * at[0, 0] + at[-1, 0], at[0, 1] - 2 * at[0, 0] + at[0, -1]
        dxy = 0.5 * (at[1, 1] - at[1, 0] - at[0, 1] + 2 * at[0, 0] - at[-1, 0] - at[0, -1] + at[-1, -1])
        step = -np.linalg.solve(np.array([[dxx, dxy], [dxy, dyy]]), slope)
        assert np.abs(step).max() < 1
        assert np.abs(got - (np.array([x, y]) + step)).max() < 1e-3


@pytest.mark.parametrize(("method", "border"), [("dark", 2), ("udp", 1)])
def test_no_step_at_the_border(method, border):
    """A peak `border` pixels from every edge moves, one pixel further out it stays."""
    middle = np.array([[[20.3, 20.3], [20.3, 20.3]]])
    for inset in range(4):
        for low in (True, False):
            size = (41, 41) if low else (21 + inset, 21 + inset)
            center = middle - 20 + inset if low else middle
            found, _ = heatmap.decode(heatmap.encode(center, np.ones((1, 2), bool), size, 2.0), method)
            assert (found == np.rint(center)).all() == (inset < border)


@pytest.mark.parametrize("method", refine.REFINEMENTS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2), (5, 3)])
def test_maps_too_small_to_refine(method, size):
    maps = np.zeros((1, 1, *size), np.float32)
    maps[0, 0, size[0] // 2, size[1] // 2] = 1
    found, _ = heatmap.decode(maps, method)
    assert found.tolist() == [[[size[1] // 2, size[0] // 2]]]


def test_a_one_pixel_map_is_the_middle_of_the_crop():
    maps, inverse = np.ones((1, 1, 1, 1), np.float32), np.eye(3)[None, :2]
    for method in refine.REFINEMENTS:
        assert heatmap.decode_to_image(maps, inverse, (256, 192), method)[0].tolist() == [[[95.5, 127.5]]]


@pytest.mark.parametrize("method", ["dark", "udp"])
def test_no_step_without_a_peak(method):
    maps = np.zeros((1, 2, *SIZE), np.float32)
    maps[0, 1] = 0.5
    found, scores = heatmap.decode(maps, method)
    assert found.tolist() == [[[0, 0], [0, 0]]]
    assert scores.tolist() == [[0, 0.5]]


@pytest.mark.parametrize("method", refine.REFINEMENTS)
def test_masked_maps_hold_minus_infinity(method):
    maps = np.full((1, 2, *SIZE), -np.inf, np.float32)
    maps[0, 0, 20, 30] = 0.5  # alone
    maps[0, 1, 19:22, 29:32] = np.array([[1, 2, 1], [2, 9, 3], [1, 2, 1]]) / 9  # leans to the right
    found, scores = heatmap.decode(maps, method)
    assert found[0, 0].tolist() == [30, 20]
    assert found[0, 1, 1] == 20
    assert found[0, 1, 0] == {"argmax": 30, "quarter": 30.25}.get(method, found[0, 1, 0])
    assert np.isfinite(found).all() and scores.tolist() == [[0.5, 1.0]]


def test_quarter_and_argmax():
    xy = joints_inside(3)
    maps = heatmap.encode(xy, np.ones(xy.shape[:2], bool), SIZE, 2.0)
    plain, _ = heatmap.decode(maps, "argmax")
    assert np.array_equal(plain, np.rint(xy))
    found, _ = heatmap.decode(maps, "quarter")
    assert np.abs(found - xy).max() <= 0.25 + 1e-5
    assert np.array_equal(found - plain, 0.25 * np.sign(xy - plain))


def test_quarter_offset_is_none_at_the_border_and_between_equals():
    maps = np.zeros((1, 3, 5, 7), np.float32)
    maps[0, 0, 0, 6] = 1  # a corner, its inner neighbors higher than nothing
    maps[0, 0, 0, 5] = maps[0, 0, 1, 6] = 0.5
    maps[0, 1, 2, 3] = 1  # alone: equal neighbors
    maps[0, 2, 4, 3], maps[0, 2, 4, 4] = 1, 0.5  # bottom row: x moves, y does not
    found, _ = heatmap.decode(maps, "quarter")
    assert found[0].tolist() == [[6, 0], [3, 2], [3.25, 4]]


def test_the_lowest_index_wins_a_tie():
    maps = np.zeros((1, 1, 4, 5), np.float32)
    maps[0, 0, [1, 1, 3], [2, 4, 0]] = 0.7
    found, scores = heatmap.decode(maps, "argmax")
    assert found.tolist() == [[[2, 1]]]
    assert scores[0, 0] == np.float32(0.7)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("method", refine.REFINEMENTS)
def test_a_network_that_overflowed_is_an_error_of_the_model(value, method):
    maps = np.zeros((1, 2, 4, 5), np.float32)
    maps[0, 1, 3, 3] = value
    with pytest.raises(ModelError, match=r"overflowed: .* build fp16 with more layers in float or use fp32"):
        heatmap.decode(maps, method)


def test_every_method_of_the_contract_is_here():
    assert set(refine.REFINEMENTS) == {"quarter", "dark", "udp", "argmax"}


def test_the_grid_of_a_method():
    for method in refine.REFINEMENTS:
        expected = (corner_affine if method == "udp" else grid_affine)((256, 192), SIZE)
        assert np.array_equal(grids.grid(method, (256, 192), SIZE), expected)
    with pytest.raises(SpecError, match="did you mean 'udp'"):
        grids.grid("upd", (256, 192), SIZE)


def test_unknown_method_and_shape_are_refused():
    maps = np.zeros((1, 2, 4, 5), np.float32)
    with pytest.raises(SpecError, match="did you mean 'quarter'"):
        heatmap.decode(maps, "quater")
    with pytest.raises(ValueError, match="heatmaps: expected shape"):
        heatmap.decode(maps[0])
    with pytest.raises(ValueError, match=r"at least one pixel a map, got \[1, 2, 0, 5\]"):
        heatmap.decode(maps[:, :, :0])


@pytest.mark.parametrize("method", refine.REFINEMENTS)
def test_nobody_decodes_to_nothing(method):
    found, scores = heatmap.decode(np.zeros((0, 14, *SIZE), np.float32), method)
    assert found.shape == (0, 14, 2)
    assert scores.shape == (0, 14)


@pytest.mark.parametrize("method", ["dark", "udp"])
def test_decode_to_image_undoes_the_crop(method):
    rng = np.random.default_rng(2)
    matrices = np.stack(
        [
            crop_affine(np.array([30.0, 40, 130, 300]), (256, 192)),
            crop_affine(np.array([0.0, 0, 900, 500]), (256, 192), rotation_deg=25),
        ]
    )
    cells = rng.uniform(10, 37, (2, 14, 2))
    inverse = invert_affine(matrices)
    truth = apply_affine(inverse, apply_affine(grids.grid(method, SIZE, (256, 192)), cells))
    maps = heatmap.encode(cells, np.ones((2, 14), bool), SIZE, 2.0)
    found, scores = heatmap.decode_to_image(maps, inverse, (256, 192), method)
    assert found.dtype == np.float32
    scale = 4 * np.sqrt(np.abs(np.linalg.det(inverse[:, :, :2])))  # image pixels per cell
    assert (np.abs(found - truth).max(axis=(1, 2)) < 0.02 * scale).all()
    assert scores.shape == (2, 14)


def test_merge_flip_mirrors_and_swaps():
    order = SKELETONS["lsp14"].flip_order()
    xy = joints_inside(8, 14)
    maps = heatmap.encode(xy, np.ones((1, 14), bool), SIZE, 2.0)
    mirrored = xy.copy()
    mirrored[..., 0] = SIZE[1] - 1 - mirrored[..., 0]
    flipped = heatmap.encode(mirrored[:, list(order)], np.ones((1, 14), bool), SIZE, 2.0)
    merged = flips.merge_flip(maps, flipped, order)
    assert merged.dtype == np.float32
    assert np.abs(merged - maps).max() < 1e-5  # what the network saw twice is the same
    half = flips.merge_flip(maps.astype(np.float16), flipped.astype(np.float16), order)
    assert half.dtype == np.float32
    assert np.abs(half - maps).max() < 1e-3
    with pytest.raises(ValueError, match="flipped"):
        flips.merge_flip(maps, flipped[:, :13], order)
    for wrong in (order[:13], (0, *order[1:13], 0), (*order[:13], 14)):
        with pytest.raises(ValueError, match="flip_order: expected each of 14 joints once"):
            flips.merge_flip(maps, flipped, wrong)


PLACES = [
    ("dark", None, 0.0),
    ("dark", "stride", 0.0),
    ("dark", "corners", 0.0),
    ("dark", "centers", -1.0),
    ("udp", None, 0.0),
    ("udp", "stride", 0.5),
    ("udp", "centers", 0.0),
]
IMAGE = (256, 192)


def placed(xy_crop, codec):
    """The maps of a network that was trained with the grid of the codec, for crop coordinates [N, K, 2]."""
    cells = apply_affine(invert_affine(codec.to_crop(SIZE, IMAGE)), xy_crop)
    return heatmap.encode(cells, np.ones(cells.shape[:2], bool), SIZE, 2.0)


@pytest.mark.parametrize(("rule", "first", "last"), [("centers", 1.5, 189.5), ("stride", 0, 188), ("corners", 0, 191)])
def test_what_the_rules_say_by_hand(rule, first, last):
    matrix = grids.grid("quarter", SIZE, IMAGE, rule)
    assert np.allclose(apply_affine(matrix, np.array([[0.0, 0], [47, 63]]))[:, 0], [first, last])
    back = grids.grid("quarter", IMAGE, SIZE, rule)
    assert np.allclose(apply_affine(back, apply_affine(matrix, np.array([[3.0, 7]]))), [[3, 7]])
    assert np.allclose(grids.to_crop("quarter", SIZE, IMAGE, rule, 0.25) - matrix, [[0, 0, 0.25], [0, 0, 0.25]])


def test_an_unknown_rule_names_the_nearest():
    with pytest.raises(SpecError, match=r"codec.grid = 'strides'; did you mean 'stride'"):
        grids.grid("quarter", SIZE, IMAGE, "strides")


@pytest.mark.parametrize(("method", "rule", "offset"), PLACES)
def test_joints_are_found_where_the_grid_puts_them(method, rule, offset):
    codec = heatmap.HeatmapCodec(refine=method, rule=rule, offset=offset)
    xy_crop = np.random.default_rng(3).uniform((40, 40), (150, 210), (2, 14, 2))
    maps, same = placed(xy_crop, codec), np.tile(np.eye(3)[:2], (2, 1, 1))
    found, scores = heatmap.decode_to_image(maps, same, IMAGE, method, grid=rule, offset=offset)
    assert np.abs(found - xy_crop).max() < 0.1
    fused = heatmap_peak(maps, same, IMAGE, method, grid=rule, offset=offset)
    np.testing.assert_allclose(fused[..., :2], found, atol=2e-3)
    assert np.array_equal(fused[..., 2], scores)
    assert np.allclose(
        cuda.heatmap_affines(same, SIZE, IMAGE, method, grid=rule, offset=offset)[0], codec.to_crop(SIZE, IMAGE)
    )


@pytest.mark.parametrize(("method", "rule", "offset"), PLACES)
def test_the_flip_merge_follows_the_grid(method, rule, offset):
    spec = spec_from_dict({"name": "net", "skeleton": "lsp14", "input": {"size": list(IMAGE)}}, "the test")
    codec = heatmap.HeatmapCodec(refine=method, rule=rule, offset=offset)
    spec = replace(spec, codec=codec)
    xy_crop = np.random.default_rng(4).uniform((40, 40), (150, 210), (2, 14, 2))
    mirrored = xy_crop[:, list(spec.skeleton.flip_order())]
    mirrored[..., 0] = IMAGE[1] - 1 - mirrored[..., 0]
    outputs, flipped = [placed(xy_crop, codec)], [placed(mirrored, codec)]
    same = np.tile(np.eye(3)[:2], (2, 1, 1))
    found = codec.decode(outputs, flipped, same, spec)
    assert np.abs(found[..., :2] - xy_crop).max() < 0.1
    symmetric = codec.mirror_shift(SIZE, IMAGE) == 0
    assert symmetric == codec.symmetric() == (codec.device_problem(True) is None)
    assert codec.device_problem(False) is None
    if not symmetric:  # without the shift, half of it would be lost
        plain = flips.merge_flip(outputs[0], flipped[0], spec.skeleton.flip_order())
        wrong = heatmap_peak(plain, same, IMAGE, method, grid=rule, offset=offset)
        lost = abs(codec.mirror_shift(SIZE, IMAGE)) * 4 / 2
        np.testing.assert_allclose(np.abs(wrong - found)[..., 0], lost, atol=0.15)


def test_a_shift_of_whole_pixels_moves_the_mirrored_maps():
    maps = np.arange(12, dtype=np.float32).reshape(1, 1, 2, 6)
    zero = np.zeros_like(maps)
    merged = 2 * flips.merge_flip(zero, maps, [0], 2.0)
    assert merged[0, 0, 0].tolist() == [5, 5, 5, 4, 3, 2]
    assert (2 * flips.merge_flip(zero, maps, [0], -1.0))[0, 0, 0].tolist() == [4, 3, 2, 1, 0, 0]
    assert (2 * flips.merge_flip(zero, maps, [0], 0.25))[0, 0, 0].tolist() == [5, 4.25, 3.25, 2.25, 1.25, 0.25]


def test_a_grid_that_changes_nothing_is_not_written():
    """Contracts from before the key existed keep their hash."""
    table = {"name": "net", "skeleton": "lsp14"}
    plain = spec_from_dict(table, "the test")
    assert set(plain.to_json()["codec"]) == {"type", "decode", "sigma"}
    same = spec_from_dict(table | {"codec": {"type": "heatmap", "grid": "centers", "offset": 0}}, "the test")
    assert same.sha256() == plain.sha256()
    udp = spec_from_dict(table | {"codec": {"type": "heatmap", "decode": "udp", "grid": "corners"}}, "the test")
    assert "grid" not in udp.to_json()["codec"]
    other = spec_from_dict(table | {"codec": {"type": "heatmap", "grid": "stride", "offset": 0.25}}, "the test")
    assert other.to_json()["codec"] == {
        "type": "heatmap", "decode": "quarter", "sigma": 2.0, "grid": "stride", "offset": 0.25,
    }  # fmt: skip
    assert spec_from_dict(other.to_json(), "again") == other


@pytest.mark.parametrize(
    ("codec", "message"),
    [({"grid": "center"}, "codec.grid = 'center'; did you mean 'centers'"), ({"offset": 400}, "counts crop pixels")],
)
def test_a_wrong_grid_is_refused(codec, message):
    with pytest.raises(SpecError, match=message):
        spec_from_dict({"name": "net", "skeleton": "lsp14", "codec": {"type": "heatmap", **codec}}, "the test")
