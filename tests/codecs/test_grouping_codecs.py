"""The codecs that find everyone: one to five people, who overlap, come back with all their joints, and whole."""

from __future__ import annotations

import itertools
from typing import Any

import ideal_outputs
import numpy as np
import pytest
from grouping_networks import COCO, PIFPAF_LIMBS, POSENET_TREE
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.codecs import associative, cells, offsets, paf, pifpaf
from edgepose.codecs.assignment import assign
from edgepose.codecs.codec import People
from edgepose.codecs.outputs import outputs_of
from edgepose.errors import ModelError, SpecError
from edgepose.pose.geometry import apply_affine

SIZE, INPUT = (96, 160), (96 * 4, 160 * 4)
GAP = 26.0  # cells between neighbors, whose arms then cross: a person is 50 cells wide
CODECS = ("paf", "associative", "offsets", "posenet", "pifpaf")
TAGS = (3.0, -4.0, 9.0, 0.0, 15.0)


def limbs_of(codec: str) -> list[list[str]]:
    limbs = [(a - 1, b - 1) for a, b in PIFPAF_LIMBS]
    pairs = {"posenet": POSENET_TREE, "pifpaf": limbs, "paf": limbs}.get(codec, ())
    return [[COCO[a], COCO[b]] for a, b in pairs]


def contract_of(codec: str, **parameters: Any) -> ModelSpec:
    skeleton = {
        "name": "body",
        "joints": COCO,
        "flips": [[joint, joint.replace("left", "right")] for joint in COCO if "left" in joint],
        "limbs": limbs_of(codec),
    }
    names = 4 if codec == "posenet" else 2
    given = {"field_order": "yx", "background": True, **parameters} if codec == "paf" else parameters
    return spec_from_dict(
        {
            "name": "net",
            "skeleton": skeleton,
            "input": {"size": list(INPUT)},
            "codec": {"type": codec, **given},
            "outputs": [f"output_{i}" for i in range(names)],
        },
        "test",
    )


def standing(count: int) -> Array:
    """[M, 17, 2] in cells: a row of people, each of whom reaches over the next one."""
    middle = SIZE[1] / 2 - GAP * (count - 1) / 2
    return ideal_outputs.people(COCO, [(middle + GAP * i, 48 + 3 * (i % 2), 84 - 4 * (i % 3)) for i in range(count)])


def answer(contract: ModelSpec, xy: Array) -> tuple[Array, ...]:
    limbs, codec = np.array(contract.skeleton.limb_indices()), contract.codec
    if codec.name == "paf":
        maps, fields = paf.encode(xy, np.ones(xy.shape[:2], bool), limbs, SIZE, sigma=1.5, width=1.0)
        maps = np.concatenate([maps, 1 - maps.max(axis=0, keepdims=True)])
        return maps[None], fields[:, ::-1].reshape(1, -1, *SIZE)
    if codec.name == "associative":
        return ideal_outputs.associative(xy, SIZE, TAGS[: len(xy)])
    if codec.name == "offsets":
        return ideal_outputs.offsets(xy, SIZE, offsets.SIGNS[codec.displacement])  # type: ignore[attr-defined]
    if codec.name == "posenet":
        return ideal_outputs.posenet(xy, limbs, SIZE, cells.RULES[codec.rule](SIZE, INPUT))  # type: ignore[attr-defined]
    return ideal_outputs.pifpaf(xy, limbs, SIZE)


def decoded(contract: ModelSpec, outputs: tuple[Array, ...]) -> tuple[People, Array]:
    """The people, and their joints in cells."""
    found = contract.codec.decode(outputs, None, np.eye(2, 3)[None], contract)
    assert isinstance(found, People)
    rule = getattr(contract.codec, "rule", "centers")
    return found, apply_affine(cells.RULES[rule](INPUT, SIZE), found.xy_image.astype(float))


@pytest.mark.parametrize("count", range(6))
@pytest.mark.parametrize("codec", CODECS)
def test_people_who_overlap_are_told_apart(codec: str, count: int) -> None:
    contract = contract_of(codec)
    truth = standing(count) if count else np.zeros((0, 17, 2))
    outputs = answer(contract, truth) if count else tuple(np.zeros_like(o) for o in answer(contract, standing(1)))
    found, xy = decoded(contract, outputs)
    assert len(xy) == count
    if count:
        assert ideal_outputs.matched(xy, found.scores, truth).max() < 0.3
        assert (np.diff(found.box_scores) <= 0).all() and (found.box_scores > 0.4).all()
        np.testing.assert_allclose(found.boxes_xyxy[:, :2], found.xy_image.min(axis=1), atol=1e-4)


@pytest.mark.parametrize("codec", CODECS)
def test_overflow_is_an_error_of_the_network(codec: str) -> None:
    contract = contract_of(codec)
    for index in range(1 if codec == "paf" else len(contract.outputs)):  # of paf's fields, what is sampled is examined
        outputs = [output.copy() for output in answer(contract, standing(2))]
        outputs[index].flat[outputs[index].size // 2] = np.inf
        with pytest.raises(ModelError, match="overflowed"):
            contract.codec.decode(outputs, None, np.eye(2, 3)[None], contract)


@pytest.mark.parametrize("codec", CODECS)
def test_float16_outputs_give_the_same_people(codec: str) -> None:
    contract = contract_of(codec)
    outputs = answer(contract, standing(3))
    found, xy = decoded(contract, tuple(output.astype(np.float16) for output in outputs))
    _, there = decoded(contract, outputs)
    assert len(xy) == 3
    assert ideal_outputs.matched(xy, found.scores, there).max() < 0.5


@pytest.mark.parametrize("codec", CODECS[1:])
def test_an_unknown_grid_names_the_nearest(codec: str) -> None:
    with pytest.raises(SpecError, match=r"codec\.grid = 'center'.*did you mean 'centers'\?"):
        contract_of(codec, grid="center")


@pytest.mark.parametrize("codec", CODECS[1:])
def test_a_flip_test_needs_a_grid_that_is_its_own_mirror(codec: str) -> None:
    contract = contract_of(codec, grid="stride")
    with pytest.raises(SpecError, match="run without flip test"):
        contract.codec.check_flip(contract.skeleton)
    contract_of(codec, grid="centers").codec.check_flip(contract.skeleton)


# --- paf --------------------------------------------------------------------------------------------------------------


def test_the_other_order_of_field_components_gives_other_people() -> None:
    truth = standing(3)
    outputs = answer(contract_of("paf"), truth)
    found, xy = decoded(contract_of("paf", field_order="xy"), outputs)
    assert not len(xy) or ideal_outputs.matched(xy, found.scores, truth).max() > 1


def test_an_unknown_order_of_components_names_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"codec\.field_order = 'rows'; known: xy, yx"):
        contract_of("paf", field_order="rows")


def test_a_background_map_is_demanded_or_refused() -> None:
    maps, fields = answer(contract_of("paf"), standing(1))
    for background, kept in ((True, 17), (False, 18)):
        contract = contract_of("paf", background=background)
        outputs = dict(zip(contract.outputs, (maps[:, :kept], fields), strict=True))
        with pytest.raises(SpecError, match=rf"expect joint maps \[1, {35 - kept}, h, w\]"):
            outputs_of(contract, outputs, 1)


# --- associative ------------------------------------------------------------------------------------------------------


def test_a_joint_that_is_hidden_is_not_found() -> None:
    contract = contract_of("associative")
    xy = standing(2)
    maps, tags = answer(contract, xy)
    hidden = COCO.index("left_ankle")
    only = ideal_outputs.bells(xy[1:], SIZE)
    maps[0, hidden] = only[hidden]
    found, there = decoded(contract, (maps, tags))
    lacking = np.flatnonzero(found.scores[:, hidden] == 0)
    assert len(lacking) == 1 and len(found.scores) == 2
    assert not found.xy_image[lacking[0], hidden].any()
    nearest = np.linalg.norm(there[lacking[0]] - xy[0], axis=-1)
    assert np.delete(nearest, hidden).max() < 0.3


def test_a_joint_below_the_threshold_is_filled_in_by_its_tag() -> None:
    xy = standing(2)
    for fill in (False, True):
        contract = contract_of("associative", fill=fill)
        maps, tags = answer(contract, xy)
        faint = COCO.index("left_ankle")
        maps[0, faint] = ideal_outputs.bells(xy[1:], SIZE)[faint] + 0.05 * ideal_outputs.bells(xy[:1], SIZE)[faint]
        found, there = decoded(contract, (maps, tags))
        away = np.linalg.norm(there[:, faint] - xy[0, faint], axis=-1)
        assert (away.min() < 1.0) == fill and (found.scores[:, faint] > 0).sum() == 1 + fill


def test_tags_decide_and_not_places() -> None:
    """Two people whose joints of one side are exchanged: the tags say whose they are."""
    contract = contract_of("associative")
    xy = standing(2)
    left = [COCO.index(joint) for joint in COCO if joint.startswith("left")]
    crossed = xy.copy()
    crossed[0, left], crossed[1, left] = xy[1, left], xy[0, left]
    found, there = decoded(contract, answer(contract, crossed))
    assert ideal_outputs.matched(there, found.scores, crossed).max() < 0.3


def test_the_published_order_of_joints_is_the_default() -> None:
    contract = contract_of("associative")
    published = [0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16]  # joint_order of HigherHRNet's group.py
    assert list(contract.codec.joint_order(contract.skeleton)) == published  # type: ignore[attr-defined]


def test_an_order_names_every_joint_once() -> None:
    with pytest.raises(SpecError, match=r"unknown joint 'noze'.*did you mean 'nose'"):
        contract_of("associative", order=["noze"])
    with pytest.raises(SpecError, match="each of the 17 joints"):
        contract_of("associative", order=["nose"])


def test_a_crowd_is_an_error_of_the_network() -> None:
    contract = contract_of("associative", capacity=1)
    with pytest.raises(ModelError, match="2 peaks, and 1 are listed"):
        decoded(contract, answer(contract, standing(2)))


def test_the_number_of_people_is_limited() -> None:
    contract = contract_of("associative", max_people=2, candidates=5)
    assert len(decoded(contract, answer(contract, standing(4)))[1]) == 2


# --- offsets ----------------------------------------------------------------------------------------------------------


def test_the_wrong_sign_of_displacements_is_seen() -> None:
    for said, other in itertools.permutations(offsets.SIGNS):
        contract = contract_of("offsets", displacement=said)
        outputs = answer(contract, standing(3))
        found = [offsets.likelier_displacement(outputs[0][0], outputs[1][0], c.codec)  # type: ignore[arg-type]
                 for c in (contract, contract_of("offsets", displacement=other))]  # fmt: skip
        assert found == [said, said]
    nobody = np.zeros((18, *SIZE), np.float32), np.zeros((34, *SIZE), np.float32)
    assert offsets.likelier_displacement(*nobody, offsets.OffsetsCodec()) is None


def test_joint_maps_are_not_needed() -> None:
    contract = contract_of("offsets")
    maps, displacements = answer(contract, standing(3))
    found, xy = decoded(contract, (maps[:, -1:], displacements))
    assert ideal_outputs.matched(xy, found.scores, standing(3)).max() < 0.01


def test_a_second_center_of_the_same_person_is_dropped() -> None:
    contract = contract_of("offsets")
    xy = standing(1)
    maps, displacements = answer(contract, xy)
    x, y = np.round(xy[0].mean(axis=0)).astype(int)
    maps[0, -1] = 0
    maps[0, -1, y, x], maps[0, -1, y, x + 2] = 0.9, 0.8
    assert len(decoded(contract, (maps, displacements))[1]) == 1
    assert len(decoded(contract_of("offsets", nms_threshold=0), (maps, displacements))[1]) == 2


# --- posenet ----------------------------------------------------------------------------------------------------------


def test_limbs_that_are_no_tree_are_refused() -> None:
    table = contract_of("posenet").to_json()
    table["skeleton"]["limbs"] = table["skeleton"]["limbs"][1:]
    with pytest.raises(SpecError, match="no tree of its 17 joints"):
        spec_from_dict(table, "test")


def test_x_before_y_finds_nobody_whole() -> None:
    """The order of the components matters: the other one does not give the same people."""
    contract = contract_of("posenet")
    outputs = answer(contract, standing(2))
    turned = [o.reshape(1, 2, -1, *SIZE)[:, ::-1].reshape(o.shape) for o in outputs[1:]]
    found, xy = decoded(contract, (outputs[0], *turned))
    assert not len(xy) or ideal_outputs.matched(xy, found.scores, standing(2)).max() > 1


# --- pifpaf -----------------------------------------------------------------------------------------------------------


def test_agreement_is_one_where_sixteen_cells_agree() -> None:
    voters = np.tile([1.0, 5.0, 6.0, 2.0], (16, 1))
    values = pifpaf.agreement(voters, np.array([[5.0, 6.0], [6.0, 6.0], [20.0, 6.0]]))
    np.testing.assert_allclose(values, [1.0, np.exp(-0.5), 0.0])
    assert pifpaf.agreement(voters[:4], np.array([[5.0, 6.0]]))[0] == 0.25


def test_fields_that_are_full_of_joints_are_an_error_of_the_network() -> None:
    """An untrained network votes everywhere, which would take minutes to follow."""
    contract = contract_of("pifpaf")
    for index, what in enumerate(("intensity", "association")):
        outputs = [output.copy() for output in answer(contract, standing(1))]
        outputs[index][0, 3, 1] = 0.5
        with pytest.raises(ModelError, match=rf"{what} field 3 has 15360 cells above the field threshold"):
            decoded(contract, (outputs[0], outputs[1]))


def test_a_connection_that_leads_elsewhere_on_its_way_back_is_not_taken() -> None:
    contract = contract_of("pifpaf")
    xy = standing(1)
    intensity, association = answer(contract, xy)
    limb = [tuple(pair) for pair in limbs_of("pifpaf")].index(("left_shoulder", "left_elbow"))
    wrong = association.copy()
    wrong[0, limb, 2] += 20 * (wrong[0, limb, 1] > 0)  # its cells say that the shoulder is 20 cells further right
    found, _ = decoded(contract, (intensity, association))
    assert (found.scores > 0).all()
    found, _ = decoded(contract, (intensity, wrong))
    elbow = COCO.index("left_elbow")
    assert not (found.scores[:, elbow] > 0).any() or len(found.scores) > 1


# --- the parts --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(0, 4), st.integers(4, 6)),
        elements=st.sampled_from([-1.0, 0.0, 0.5, 1.0, 3.0, 1e10]),
    )
)
def test_an_assignment_has_the_lowest_cost(costs: Array) -> None:
    rows, columns = costs.shape
    found = assign(costs)
    assert len(set(found.tolist())) == rows
    best = min(sum(costs[i, j] for i, j in enumerate(way)) for way in itertools.permutations(range(columns), rows))
    assert costs[np.arange(rows), found].sum() == pytest.approx(best, rel=1e-9, abs=1e-5)


def test_an_assignment_needs_a_column_for_each_row() -> None:
    with pytest.raises(ValueError, match="at most as many rows"):
        assign(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="finite"):
        assign(np.full((1, 1), np.nan))


def test_bilinear_is_exact_on_a_plane() -> None:
    y, x = np.mgrid[:5, :7]
    maps = np.stack([2 * x + 3 * y, x - y]).astype(np.float32)
    xy = np.array([[1.25, 2.5], [3.5, 0.75]])
    np.testing.assert_allclose(cells.bilinear(maps, xy), [10.0, 2.75])
    assert cells.bilinear(maps, np.array([[-3.0, -2.0], [90.0, 90.0]])).tolist() == [0.0, 2.0]


def test_what_a_cell_stands_for() -> None:
    point = np.array([2.0, 1.0])
    at = {
        rule: apply_affine(matrix((9, 17), (65, 129)), point).round(3).tolist() for rule, matrix in cells.RULES.items()
    }
    assert at["corners"] == [16.0, 8.0]
    assert at["stride"] == [round(2 * 129 / 17, 3), round(65 / 9, 3)]
    assert at["centers"] == [round(2.5 * 129 / 17 - 0.5, 3), round(1.5 * 65 / 9 - 0.5, 3)]


def test_people_of_one_tag_are_limited_in_number() -> None:
    peaks = [np.array([[float(i), 0, 1] for i in range(4)], np.float32)]
    people = associative.group(peaks, [np.arange(4) * 5.0], [0], tag_threshold=1, max_people=3)
    assert len(people) == 3
