"""Synthetic scenes: repeatable, labels on the drawn body, sides, honest occlusion, smooth clips.

Run: `pytest tests/datasets/rendering/test_scenes.py`.
"""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from edgepose.datasets.rendering.body import Light, flesh_out
from edgepose.datasets.rendering.figures import LSP_NODES, Pose, Proportions, Skeleton, on_floor, pack, solve, turn
from edgepose.datasets.rendering.look import sample_look
from edgepose.datasets.rendering.poses import arm, both
from edgepose.datasets.rendering.raycast import Camera, Solids, cast, look_at
from edgepose.datasets.rendering.scenes import Figure, compose, render_clip, render_still
from edgepose.errors import UsageError

BODY = Proportions()
SIZE = (320, 256)
J = {name: i for i, name in enumerate(LSP_NODES)}
GREEN = np.full((*SIZE, 3), (0, 255, 0), np.uint8)


def _camera(focal=620.0, away=4.5):
    eye = np.array([0.0, 0.95, away])
    return Camera(look_at(eye, np.array([0.0, 0.95, 0.0])), eye, focal, np.array([127.5, 159.5]))


def _light():
    one = np.ones(3, np.float32)
    return Light(np.array([-0.4, -0.7, -0.6]), 0.7 * one, 0.4 * one, 0.2 * one)


def _figure(angles, yaw=0.0, x=0.0, z=0.0, seed=1):
    bones = solve(BODY, on_floor(BODY, Pose(pack(angles), turn(yaw), np.array([x, 0.0, z]))))
    return Figure(BODY, sample_look(np.random.default_rng(seed), BODY), bones)


def _scene(*figures, cover=None):
    return compose(np.random.default_rng(0), GREEN, list(figures), _camera(), _light(), cover)


T_POSE = both(arm(0, 88, 4))


def test_a_scene_follows_from_seed_and_index_in_any_order():
    first = [render_still(4, i) for i in (0, 1, 2)]
    again = {i: render_still(4, i) for i in (2, 0, 1)}
    for i, scene in enumerate(first):
        for a, b in zip(vars(scene).values(), vars(again[i]).values(), strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0].image, first[1].image)
    assert not np.array_equal(first[0].image, render_still(5, 0).image)


def test_shapes_types_and_flags_of_stills():
    occluded, labeled, heights = [], [], []
    for i in range(40):
        scene = render_still(11, i)
        n = len(scene.boxes_xyxy)
        assert scene.image.shape == (*SIZE, 3) and scene.image.dtype == np.uint8
        assert scene.joints_xy_image.shape == (n, 14, 2) and scene.joints_xy_image.dtype == np.float32
        assert scene.labeled.shape == scene.occluded.shape == (n, 14)
        assert scene.boxes_xyxy.shape == (n, 4) and scene.boxes_xyxy.dtype == np.float32
        assert not (scene.occluded & ~scene.labeled).any()
        assert (scene.boxes_xyxy >= 0).all() and (scene.boxes_xyxy <= (255, 319, 255, 319)).all()
        x0, y0, x1, y1 = scene.boxes_xyxy[0]
        inside = scene.joints_xy_image[0][scene.labeled[0]]
        assert (inside >= (x0 - 3, y0 - 3)).all() and (inside <= (x1 + 3, y1 + 3)).all()
        occluded.append(scene.occluded[0].mean())
        labeled.append(scene.labeled[0].mean())
        heights.append((y1 - y0) / SIZE[0])
    assert 0.03 < np.mean(occluded) < 0.35
    assert np.mean(labeled) > 0.93
    assert 0.5 < np.median(heights) < 0.9


def test_right_is_the_person_s_own_right():
    facing, away = _scene(_figure(T_POSE)), _scene(_figure(T_POSE, yaw=180.0))
    x = facing.joints_xy_image[0, :, 0]
    assert x[J["right_wrist"]] < x[J["right_shoulder"]] < x[J["left_shoulder"]] < x[J["left_wrist"]]
    x = away.joints_xy_image[0, :, 0]
    assert x[J["right_wrist"]] > x[J["left_wrist"]]
    assert x[J["right_hip"]] > x[J["left_hip"]]


def test_the_face_is_on_the_front_of_the_head():
    for yaw, shown in ((0.0, True), (180.0, False)):
        figure = _figure({}, yaw=yaw)
        surface = flesh_out(BODY, figure.bones, figure.look, _camera(), SIZE)
        assert surface is not None
        assert bool((surface.material == 8).any()) is shown  # eyes


def test_joints_sit_on_the_drawn_body():
    for seed, angles in enumerate((T_POSE, {}, {"right_hip_flex": 70.0, "right_knee": 80.0})):
        figure = _figure(angles, seed=seed)
        scene = _scene(figure)
        body = np.abs(scene.image.astype(int) - GREEN).sum(-1) > 0
        for k in np.flatnonzero(scene.labeled[0] & ~scene.occluded[0]):
            x, y = np.rint(scene.joints_xy_image[0, k]).astype(int)
            assert body[y - 1 : y + 2, x - 1 : x + 2].any(), LSP_NODES[k]
            if k != J["crown"]:
                assert body[y, x], LSP_NODES[k]
        rows, columns = np.flatnonzero(body.any(1)), np.flatnonzero(body.any(0))
        np.testing.assert_array_equal(scene.boxes_xyxy[0], (columns[0], rows[0], columns[-1], rows[-1]))
        assert scene.joints_xy_image[0, J["crown"], 1] == pytest.approx(rows[0], abs=6)


def test_an_open_pose_hides_nothing():
    assert not _scene(_figure(T_POSE)).occluded.any()


def test_a_figure_behind_another_is_hidden_by_it():
    alone = _scene(_figure({}, z=-1.0))
    both_there = _scene(_figure({}, z=-1.0), _figure({}, z=0.0, seed=2))
    np.testing.assert_array_equal(alone.joints_xy_image[0], both_there.joints_xy_image[0])
    assert alone.occluded[0].sum() <= 2
    assert both_there.occluded[0, [J["right_hip"], J["left_hip"], J["neck"], J["right_knee"]]].all()
    assert not both_there.occluded[1].any()


def test_the_far_side_is_hidden_in_profile_and_hands_behind_the_back_from_the_front():
    profile = _scene(_figure({}, yaw=90.0))  # turned to its left: the right side faces the camera
    assert profile.occluded[0, [J["left_hip"], J["left_shoulder"], J["left_elbow"]]].all()
    assert not profile.occluded[0, [J["right_hip"], J["right_shoulder"], J["right_elbow"]]].any()
    hands = {**both(arm(-30, 8, 70, -80)), "right_forearm": 0.0, "left_forearm": 0.0}
    front, back = _scene(_figure(hands)), _scene(_figure(hands, yaw=180.0))
    assert front.occluded[0, [J["right_wrist"], J["left_wrist"]]].all()
    assert not back.occluded[0, [J["right_wrist"], J["left_wrist"]]].any()


def test_something_in_front_hides_and_the_border_unlabels():
    mask = np.zeros(SIZE, np.uint8)
    mask[:, :110] = 255
    scene = _scene(_figure(T_POSE), cover=(np.zeros((*SIZE, 3), np.uint8), mask))
    hidden = scene.joints_xy_image[0, :, 0] < 108
    np.testing.assert_array_equal(scene.occluded[0] & hidden, hidden)
    cut = _scene(_figure(T_POSE, x=-0.9))
    out = cut.joints_xy_image[0, :, 0] < -0.5
    assert 0 < out.sum() < 14
    np.testing.assert_array_equal(cut.labeled[0], ~out)
    gone = _scene(_figure({}, x=30.0))
    assert not gone.labeled.any() and not gone.boxes_xyxy.any()


def test_projection_is_the_pinhole_s():
    camera = _camera(focal=500.0)
    point = np.array([0.3, 1.2, 0.5])
    away = 4.5 - 0.5
    expected = (127.5 + 500 * 0.3 / away, 159.5 - 500 * (1.2 - 0.95) / away)
    np.testing.assert_allclose(camera.project(point)[:2], expected)


def _marched(ra, rb, a, b, metric, xy):
    """The slow twin of `cast`: the nearest point of a swept ball, by trying many balls on the axis."""
    s = np.linspace(0, 1, 2001)
    r, c = ra + s * (rb - ra), a + s[:, None] * (b - a)
    d = np.column_stack([xy[0] - c[:, 0], xy[1] - c[:, 1], np.zeros_like(s)])
    k = d @ metric[2]
    disc = k * k - metric[2, 2] * (np.einsum("si,ij,sj->s", d, metric, d) - r * r)
    hit = disc > 0
    return np.min((c[:, 2] + (-k - np.sqrt(np.maximum(disc, 0))) / metric[2, 2])[hit], initial=np.inf)


@pytest.mark.parametrize("seed", range(6))
def test_ray_casting_agrees_with_marching(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(20, 44, 3), rng.uniform(20, 44, 3)
    ra, rb = rng.uniform(4, 9, 2)
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    metric = np.eye(3) + (0.8 if seed % 2 else 0.0) * np.outer(axis, axis)
    one = lambda v: np.array([v])  # noqa: E731
    solids = Solids(
        one(a), one(b), one(ra), one(rb), one(max(ra, rb)), one(metric), one(0.5),
        one(np.uint8(2)), np.array([[2, 2]], np.uint8), one(2.0), one(False),
    )  # fmt: skip
    surface = cast(solids, (64, 64))
    assert surface is not None
    for _ in range(25):
        x, y = rng.integers(0, surface.part.shape[1]), rng.integers(0, surface.part.shape[0])
        expected = _marched(ra, rb, a, b, metric, (x + surface.left, y + surface.top))
        if np.isfinite(expected) and surface.part[y, x]:
            assert surface.depth_px[y, x] == pytest.approx(expected, abs=0.1)
    # The outline: hit or missed alike but for a pixel's width.
    wrong = 0
    for y, x in np.ndindex(*surface.part.shape):
        if x % 5 == 0 and y % 5 == 0:
            expected = _marched(ra, rb, a, b, metric, (x + surface.left, y + surface.top))
            wrong += bool(np.isfinite(expected)) != bool(surface.part[y, x])
    assert wrong <= 1


def test_clips_are_repeatable_smooth_and_keep_who_is_who():
    frames, again = list(render_clip(2, 12)), list(islice(render_clip(2, 12), 3))
    np.testing.assert_array_equal(frames[2].image, again[2].image)
    assert frames[0].image.shape == (360, 640, 3)
    xy = np.stack([scene.joints_xy_image for scene in frames])
    assert xy.shape == (12, 2, 14, 2)
    assert np.abs(np.diff(xy, axis=0)).max() < 40 and np.abs(np.diff(xy, n=2, axis=0)).max() < 25
    assert np.abs(xy[-1] - xy[0]).max() > 5
    still = np.abs(frames[0].image.astype(int) - frames[11].image).max(axis=-1) == 0
    assert still.mean() > 0.5  # the background stands


def test_requests_that_cannot_be_met_are_refused():
    calls = (
        lambda: render_still(-1, 0),
        lambda: render_still(0, -1),
        lambda: render_still(0, 0, (8, 8)),
        lambda: next(render_clip(0, people=0)),
    )
    for bad in calls:
        with pytest.raises(UsageError, match="expected"):
            bad()


def test_a_skeleton_slice_draws_like_the_whole():
    bones = _figure({}).bones
    assert Skeleton(bones.xyz_world, bones.frames).lsp_xyz_world().shape == (14, 3)
