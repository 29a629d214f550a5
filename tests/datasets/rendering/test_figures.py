"""The articulated figure: limits, bones, sides, and motions that do not jump.

Run: `pytest tests/datasets/rendering/test_figures.py`.
"""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.datasets.rendering.figures import (
    FREEDOMS,
    LIMITS_DEG,
    LSP_NODES,
    NODE,
    NODES,
    PARENTS,
    REST,
    Pose,
    Proportions,
    clamp,
    lowest_m,
    offsets,
    on_floor,
    pack,
    sample_proportions,
    solve,
    turn,
    within_limits,
)
from edgepose.datasets.rendering.motion import MOVES, move
from edgepose.datasets.rendering.poses import KINDS, SPORTY, arm, both, collisions, mirror, sample_pose
from edgepose.errors import UsageError

BODY = Proportions()


def _stand(angles, yaw=0.0):
    return solve(BODY, on_floor(BODY, Pose(pack(angles), turn(yaw), np.zeros(3))))


def test_the_14_joints_are_lsp_s_in_order():
    assert LSP_NODES[:6] == ("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle")
    assert LSP_NODES[6:12] == (
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
    )
    assert LSP_NODES[12:] == ("neck", "crown")
    assert set(REST) == set(LIMITS_DEG)


def test_a_standing_figure_has_its_height_and_its_feet_on_the_floor():
    bones = _stand({})
    y = bones.xyz_world[:, 1]
    assert y[NODE["crown"]] == pytest.approx(BODY.height_m, rel=0.03)
    assert lowest_m(bones.xyz_world) == pytest.approx(0.0, abs=1e-9)
    assert bones.xyz_world[NODE["left_hip"], 0] > 0 > bones.xyz_world[NODE["right_hip"], 0]
    assert bones.xyz_world[NODE["left_toe"], 2] > bones.xyz_world[NODE["left_heel"], 2] + 0.15


def test_sampled_poses_keep_their_limits_and_rarely_pass_through_themselves():
    rng, kinds, deep = np.random.default_rng(3), set(), []
    for _ in range(300):
        body = sample_proportions(rng)
        sample = sample_pose(rng, body)
        assert within_limits(sample.pose.angles_deg)
        assert lowest_m(sample.bones.xyz_world) >= -1e-9
        np.testing.assert_allclose(solve(body, sample.pose).xyz_world, sample.bones.xyz_world, atol=1e-12)
        kinds.add(sample.kind)
        deep.append(float(collisions(body, sample.bones)))
    assert kinds == set(KINDS)
    assert np.mean(np.array(deep) > 0.05) < 0.05


def test_angles_outside_the_limits_are_seen_and_clamped():
    wild = np.full(len(FREEDOMS), 999.0)
    assert not within_limits(wild)
    assert within_limits(clamp(wild)) and within_limits(clamp(-wild))
    assert set(np.isin(FREEDOMS, list(LIMITS_DEG))) == {True}


@pytest.mark.parametrize("name", sorted(SPORTY))
def test_every_template_names_freedoms_that_exist(name):
    assert set(SPORTY[name][1]) <= set(FREEDOMS)
    assert set(mirror(SPORTY[name][1])) <= set(FREEDOMS)


def test_joints_bend_the_way_people_do():
    rest = _stand({"right_knee": 0.0, "right_elbow": 0.0})
    knee = _stand({"right_knee": 90.0})
    elbow = _stand({"right_elbow": 90.0})
    hip = _stand({"right_hip_flex": 60.0})

    def z(bones, name):
        return bones.xyz_world[NODE[name], 2] - bones.xyz_world[NODE["pelvis"], 2]

    assert z(knee, "right_ankle") < z(rest, "right_ankle") - 0.3  # the heel goes back
    assert z(elbow, "right_wrist") > z(rest, "right_wrist") + 0.2  # the hand comes forward
    assert z(hip, "right_knee") > z(rest, "right_knee") + 0.3


def test_raised_arms_are_up_and_spread_arms_are_to_their_own_side():
    up = _stand(both(arm(0, 165, 5)))
    spread = _stand(both(arm(0, 90, 5)))
    for side, sign in (("right", -1), ("left", 1)):
        assert up.xyz_world[NODE[f"{side}_wrist"], 1] > up.xyz_world[NODE["crown"], 1]
        assert sign * spread.xyz_world[NODE[f"{side}_wrist"], 0] > 0.6


def test_the_mirror_image_has_left_and_right_exchanged():
    angles = {**REST, **SPORTY["throw"][1]}
    one, other = _stand(angles).xyz_world, _stand(mirror(angles)).xyz_world
    swap = [NODE[n.replace("left", "#").replace("right", "left").replace("#", "right")] for n in NODES]
    np.testing.assert_allclose(one * (-1, 1, 1), other[swap], atol=1e-9)


@pytest.mark.parametrize("kind", MOVES)
def test_motion_is_smooth_within_limits_and_keeps_its_bones(kind):
    rng = np.random.default_rng(5)
    pose = move(rng, BODY, kind, 100, 25.0)
    assert pose.angles_deg.shape == (100, len(FREEDOMS)) and within_limits(pose.angles_deg).all()
    xyz = solve(BODY, pose).xyz_world
    length = np.linalg.norm(xyz[:, 1:] - xyz[:, PARENTS[1:]], axis=-1)
    np.testing.assert_allclose(length, np.linalg.norm(offsets(BODY)[1:], axis=-1)[None].repeat(100, 0), atol=1e-9)
    assert np.abs(np.diff(xyz, axis=0)).max() < 0.5  # meters a frame: 12 m/s, a jogger's foot
    assert np.abs(np.diff(xyz, n=2, axis=0)).max() < 0.25
    assert np.abs(xyz.max(axis=0) - xyz.min(axis=0)).max() > 0.1  # and it moves


def test_an_unknown_motion_is_refused_by_name():
    with pytest.raises(UsageError, match="jumping_jack"):
        move(np.random.default_rng(0), BODY, "swim", 3, 25.0)
