"""Overlays: what is drawn, what is hidden, and that the frame itself is left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgepose.errors import UsageError
from edgepose.media.draw import LEFT, RIGHT, draw_poses
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS

IMAGE = np.full((200, 200, 3), 128, np.uint8)


def standing(size=160.0, x=100.0):
    """One person, arms spread, joints at known places."""
    unit = {
        "head_top": (0, -0.5), "neck": (0, -0.35), "right_shoulder": (-0.12, -0.33),
        "left_shoulder": (0.12, -0.33), "right_elbow": (-0.22, -0.15), "left_elbow": (0.22, -0.15),
        "right_wrist": (-0.3, 0.0), "left_wrist": (0.3, 0.0), "right_hip": (-0.08, 0.02),
        "left_hip": (0.08, 0.02), "right_knee": (-0.1, 0.25), "left_knee": (0.1, 0.25),
        "right_ankle": (-0.1, 0.5), "left_ankle": (0.1, 0.5),
    }  # fmt: skip
    skeleton = SKELETONS["lsp14"]
    xy = np.array([unit[joint] for joint in skeleton.joints]) * size + (x, 100)
    return Poses(
        skeleton=skeleton,
        xy_image=xy[None].astype(np.float32),
        scores=np.full((1, 14), 0.9, np.float32),
        boxes_xyxy=np.array([[20, 20, 180, 180]], np.float32),
        box_scores=np.ones(1, np.float32),
    )


def at(image, poses, a, b):
    """The color in the middle of a limb."""
    skeleton = poses.skeleton
    x, y = np.rint((poses.xy_image[0, skeleton.index(a)] + poses.xy_image[0, skeleton.index(b)]) / 2).astype(int)
    return image[y, x].astype(int)


def test_left_and_right_have_their_colors_and_the_frame_is_untouched():
    poses = standing()
    drawn = draw_poses(IMAGE, poses)
    assert (IMAGE == 128).all()
    assert np.abs(at(drawn, poses, "left_hip", "left_knee") - LEFT).max() < 40
    assert np.abs(at(drawn, poses, "right_hip", "right_knee") - RIGHT).max() < 40


def test_joints_that_were_not_found_are_hidden_at_any_threshold():
    poses = standing()
    xy, scores = poses.xy_image.copy(), poses.scores.copy()
    knee = poses.skeleton.index("left_knee")
    xy[0, knee], scores[0, knee] = 0, 0
    drawn = draw_poses(IMAGE, replace(poses, xy_image=xy, scores=scores), threshold=0)
    assert (drawn[:20, :20] == 128).all()
    assert (drawn != 128).any()


def test_unsure_joints_and_their_limbs_are_hidden():
    poses = standing()
    scores = poses.scores.copy()
    scores[0, poses.skeleton.index("left_knee")] = 0.1
    drawn = draw_poses(IMAGE, replace(poses, scores=scores))
    assert (at(drawn, poses, "left_hip", "left_knee") == 128).all()
    assert (at(drawn, poses, "left_knee", "left_ankle") == 128).all()
    assert (at(drawn, poses, "right_hip", "right_knee") != 128).any()
    hidden = replace(poses, scores=np.zeros((1, 14), np.float32))
    assert np.array_equal(draw_poses(IMAGE, hidden), IMAGE)


def test_the_torso_is_closed():
    poses = standing()
    drawn = draw_poses(IMAGE, poses)
    assert (at(drawn, poses, "left_hip", "right_hip") != 128).any()
    assert (at(drawn, poses, "neck", "left_shoulder") != 128).any()


def test_lines_grow_with_the_person():
    inked = [(draw_poses(np.full((900, 900, 3), 128, np.uint8), standing(s, 450)) != 128).mean() for s in (150, 600)]
    assert inked[1] > 6 * inked[0]  # at one width: 4


def test_people_have_their_own_colors():
    poses = standing()
    colors = [
        tuple(
            at(
                draw_poses(IMAGE, replace(poses, track_ids=np.array([i])), by="person"),
                poses,
                "left_hip",
                "left_knee",
            )
        )
        for i in range(4)
    ]
    assert len(set(colors)) == 4


def test_joints_far_outside_and_not_finite_are_no_trouble():
    poses = standing()
    xy = poses.xy_image.copy()
    xy[0, 0], xy[0, 1], xy[0, 2] = (1e9, -1e9), (np.nan, 3), (-500, 100)
    drawn = draw_poses(IMAGE, replace(poses, xy_image=xy))
    assert drawn.shape == IMAGE.shape


def test_nobody_and_unknown_colors():
    assert np.array_equal(draw_poses(IMAGE, Poses.empty(SKELETONS["coco17"])), IMAGE)
    with pytest.raises(UsageError, match="did you mean 'side'"):
        draw_poses(IMAGE, standing(), by="sides")


def test_an_identity_keeps_its_color_wherever_the_person_stands_in_the_list():
    first, second = standing(x=60.0), standing(x=140.0)
    one = replace(first, track_ids=np.array([7], np.int64))
    pair = Poses(
        skeleton=first.skeleton,
        xy_image=np.concatenate([second.xy_image, first.xy_image]),
        scores=np.concatenate([second.scores, first.scores]),
        boxes_xyxy=np.concatenate([second.boxes_xyxy, first.boxes_xyxy]),
        box_scores=np.array([0.5, 1.0], np.float32),
        track_ids=np.array([3, 7], np.int64),
    )
    alone = draw_poses(IMAGE, one, by="person")
    together = draw_poses(IMAGE, pair, by="person")
    color = at(alone, one, "right_hip", "right_knee")
    np.testing.assert_allclose(at(together, one, "right_hip", "right_knee"), color, atol=2)
    other = draw_poses(IMAGE, replace(one, track_ids=np.array([8], np.int64)), by="person")
    assert np.abs(at(other, one, "right_hip", "right_knee") - color).max() > 40


@pytest.mark.parametrize("box", [(20, 20, 180, 180), (-50, -50, 180, 180), (150, 190, 400, 400), (np.nan, 0, 9, 9)])
def test_labels_show_box_and_identity_and_stay_inside(box):
    poses = replace(standing(), boxes_xyxy=np.array([box], np.float32), track_ids=np.array([12], np.int64))
    plain, labeled = draw_poses(IMAGE, poses), draw_poses(IMAGE, poses, labels=True)
    assert (plain != labeled).any() == bool(np.isfinite(box).all())
    unknown = draw_poses(IMAGE, replace(poses, track_ids=np.array([-1], np.int64)), labels=True)
    assert (unknown != labeled).any() == bool(np.isfinite(box).all())
