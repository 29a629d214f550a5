"""A user's own labels: one JSON, another skeleton from one TOML, and what both may leave out."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from labelfiles import coco_labels, write_json

from edgepose.datasets.open import open_data
from edgepose.datasets.own import load_own
from edgepose.errors import DataError, SpecError, UsageError
from edgepose.measure.accuracy import evaluate
from edgepose.measure.predictions import Engine, Predictions
from edgepose.metrics import registered_metrics
from edgepose.metrics.lengths import HEAD_BOX_FRACTION
from edgepose.pose.skeletons import SKELETONS

HAND = """
name = "hand"
joints = ["wrist", "left_tip", "right_tip"]
flips = [["left_tip", "right_tip"]]
limbs = [["wrist", "left_tip"], ["wrist", "right_tip"]]
sigmas = [0.06, 0.04, 0.04]
"""


@pytest.fixture
def hand(tmp_path):
    """(labels.json, hand.toml) of three people with three joints."""
    (tmp_path / "hand.toml").write_text(HAND)
    return write_json(tmp_path / "labels.json", coco_labels(3)), tmp_path / "hand.toml"


def test_another_skeleton_from_one_toml(hand):
    labels, toml = hand
    data = open_data(f"json:{labels}:{toml}")
    assert data.name == f"json:{labels}:{toml}"
    assert data.skeleton.joints == ("wrist", "left_tip", "right_tip")
    assert data.skeleton.flip_order() == (0, 2, 1)
    assert len(data) == 3
    assert data.image_ids == (7, 9)
    assert [picture.image_id for picture in data.empty] == [9]
    assert [sample.crowd for sample in data] == [False, False, True]


def test_every_metric_that_such_labels_carry(hand):
    """PCK of the box, PCP over its own limbs and OKS; no torso, no head, no shoulders to judge by."""
    data = load_own(*hand)
    engine = Engine(path="e", precision="fp32", backend="b", onnx_sha256="0" * 64, skeleton=data.skeleton)
    xy = np.stack([sample.xy_image for sample in data]).astype(float)
    (found,) = evaluate([Predictions(engine=engine, xy_image=xy, scores=np.ones((3, 3)))], data, n_boot=20).engines
    assert {"pck_box@0.2", "pcp@0.5", "pcp_loose@0.5", "oks_ap"} <= set(found.metrics)
    assert {"pck@0.2", "pckh@0.5", "pcp_oc@0.5"} <= set(found.skipped)
    assert set(found.metrics["pcp@0.5"].parts) <= {"wrist-left_tip", "wrist-right_tip"}
    assert all(
        its.interval.value == pytest.approx(registered_metrics()[name].best) for name, its in found.metrics.items()
    )


def test_known_layouts_need_no_toml(tmp_path):
    content = coco_labels(14)
    content["categories"][0]["keypoints"] = list(SKELETONS["lsp14"].joints)
    data = load_own(write_json(tmp_path / "labels.json", content))
    assert data.skeleton is SKELETONS["lsp14"]
    assert data.name == f"json:{tmp_path / 'labels.json'}"


def test_what_may_be_left_out(hand):
    """No box: tight around the labeled joints. No area: the box's. No iscrowd, num_keypoints, categories, size."""
    labels, toml = hand
    content = coco_labels(3)
    del content["categories"]
    content["images"] = [{"id": 7, "file_name": "7.png"}]
    person = {"id": 1, "image_id": 7, "keypoints": [10, 20, 2, 40, 60, 1, 0, 0, 0]}
    content["annotations"] = [person, person | {"head_box": [0, 0, 30, 40]}]
    first, second = load_own(write_json(labels, content), toml)
    assert first.box_xyxy.tolist() == [10, 20, 40, 60]
    assert first.area == 30 * 40
    assert first.labeled.tolist() == [True, True, False]
    assert first.occluded.tolist() == [False, True, False]
    assert not first.ignore
    assert np.isnan(first.head_px)
    assert second.head_px == pytest.approx(HEAD_BOX_FRACTION * 50)


def test_images_beside_or_in_a_folder(hand):
    labels, toml = hand
    with pytest.raises(DataError, match=rf"cannot read image {labels.parent}/7\.png"):
        load_own(labels, toml)[0].read()
    (labels.parent / "images").mkdir()
    with pytest.raises(DataError, match=rf"cannot read image {labels.parent}/images/7\.png"):
        load_own(labels, toml)[0].read()


def test_only_the_category_with_keypoints_counts(hand):
    labels, toml = hand
    content = coco_labels(3)
    content["categories"] = [{"id": 1, "name": "hand", "keypoints": ["wrist", "left_tip", "right_tip"]}, {"id": 2}]
    content["annotations"].append({"id": 9, "image_id": 7, "category_id": 2, "bbox": "not even looked at"})
    assert len(load_own(write_json(labels, content), toml)) == 3


def test_unknown_joints_ask_for_a_toml(tmp_path):
    content = coco_labels(3)
    content["categories"][0]["keypoints"] = ["a", "b", "c"]
    path = write_json(tmp_path / "labels.json", content)
    with pytest.raises(DataError, match=r"has the joints a, b, c, which .* json:.*labels\.json:skeleton\.toml"):
        load_own(path)
    with pytest.raises(DataError, match="its category names no joints"):
        load_own(write_json(path, coco_labels(3)))


TOML = {
    "not TOML": ("joints = [", SpecError, r"hand\.toml is no valid TOML"),
    "no joints": ('name = "x"', SpecError, r"hand\.toml: the skeleton table has no joints"),
    "an unknown key": (HAND + 'colour = "red"', SpecError, r"hand\.toml: skeleton has unknown key 'colour'"),
    "a flip of nobody": (HAND.replace('"right_tip"]]', '"tip"]]', 1), SpecError, "unknown joint 'tip'"),
    "sigmas": (HAND.replace("0.06, ", ""), SpecError, "2 sigmas for 3 joints"),
    "another order": (HAND.replace('["wrist", "left_tip",', '["left_tip", "wrist",', 1), DataError, "the same order"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "error", "says"), TOML.values(), ids=TOML.keys())
def test_a_bad_toml_is_named(hand, text, error, says):
    labels, toml = hand
    content = coco_labels(3)
    content["categories"][0]["keypoints"] = ["wrist", "left_tip", "right_tip"]
    write_json(labels, content)
    toml.write_text(text)
    with pytest.raises(error, match=says):
        load_own(labels, toml)


def test_words(hand, monkeypatch):
    monkeypatch.chdir(hand[0].parent)
    assert len(open_data("json:labels.json:hand.toml")) == 3
    for text, error, says in (
        ("json:lables.json", DataError, r"no file lables\.json for json; did you mean 'labels\.json'"),
        ("json:lables.json:hand.toml", DataError, r"no file lables\.json"),
        ("json:labels.json:", UsageError, "ends in a colon"),
        ("json:labels.json:hands.toml", SpecError, r"cannot read skeleton hands\.toml"),
    ):
        with pytest.raises(error, match=says):
            open_data(text)


@pytest.mark.parametrize("digits", [5000, 400])
def test_numbers_of_any_length_are_refused(hand, digits):
    """Python reads no integer of more than 4,300 digits, and no float holds one of 400."""
    labels, toml = hand
    text = labels.read_text().replace("512.5", "9" * digits, 1)
    labels.write_text(text)
    with pytest.raises(DataError, match=r"labels\.json") as caught:
        load_own(labels, toml)
    assert len(str(caught.value)) < 400


def test_json_nested_without_end(tmp_path):
    (tmp_path / "labels.json").write_text("[" * 200_000)
    with pytest.raises(DataError, match="nested too deep"):
        load_own(tmp_path / "labels.json")


def test_an_image_twice(hand):
    labels, toml = hand
    content = copy.deepcopy(coco_labels(3))
    content["images"].append(content["images"][0])
    with pytest.raises(DataError, match="image 7: id is used twice"):
        load_own(write_json(labels, content), toml)
