"""MPII: the .h5 of the literature and the release of the same people, splits, boxes, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from labelfiles import mat, mpii_h5, mpii_person, mpii_release, struct_array

from edgepose.datasets.mpii import load_mpii, mpii_splits
from edgepose.errors import DataError, UsageError
from edgepose.pose.skeletons import SKELETONS

MPII = SKELETONS["mpii16"]
RELEASE = "mpii_human_pose_v1_u12_1.mat"


def release(root, people=None, training=None, **changes):
    """Four images: two people; one with three joints and one without points; a test image; nobody."""
    people = people or [[mpii_person(0), mpii_person(1)], [mpii_person(2, (3, 7, 9)), {"x1": 1.0}], [{"x1": 3.0}], []]
    content = mpii_release(people, training or [1, 1, 0, 1])
    (root / RELEASE).write_bytes(mat(content | changes))
    return root


def test_h5_as_the_literature_passes_it_on(tmp_path):
    mpii_h5(tmp_path / "valid.h5")
    data = load_mpii(tmp_path)
    assert (data.name, len(data), data.skeleton) == (f"mpii:{tmp_path}:valid", 4, MPII)
    assert data.image_ids == (1, 3, 5, 7)
    first = data[0]
    assert (first.name, first.image_id, first.head_px) == ("000000000.jpg", 1, 30)
    assert [MPII.joints[k] for k in np.flatnonzero(~first.labeled)] == ["right_ankle", "left_ankle"]
    assert first.occluded.tolist() == [k % 3 == 0 and k > 0 for k in range(16)]  # joint 0 is not labeled
    assert first.xy_image[1].tolist() == [value - 1 for value in _part(tmp_path)[0, 1]]
    # center 201 counted from 1; 1.875 is 1.5 grown by a quarter, so the side is 300
    assert first.box_xyxy.tolist() == [50, 50, 350, 350]


def _part(root):
    import h5py

    with h5py.File(root / "valid.h5") as file:
        return file["part"][:]


def test_release(tmp_path):
    data = load_mpii(release(tmp_path), "trainval")
    assert [(sample.name, sample.image_id) for sample in data] == [
        ("000000000.jpg", 1),
        ("000000000.jpg", 1),
        ("000000001.jpg", 2),
    ]
    assert data.image_ids == (1, 2)
    first = data[0]
    assert first.labeled.all()
    # joints 0, 3, 6 and so on are hidden; neck and head top (8 and 9) have no is_visible and are visible
    assert np.flatnonzero(first.occluded).tolist() == [0, 3, 6, 12, 15]
    assert first.head_px == pytest.approx(0.6 * 50)
    # (201, 151) moved down by 15 scales, from 0: (200, 172.5), 150 to each side
    assert first.box_xyxy.tolist() == [50, 22.5, 350, 322.5]
    low, high = first.xy_image.min(axis=0), first.xy_image.max(axis=0)
    assert first.area == pytest.approx(float((high - low).prod()))
    assert np.flatnonzero(data[2].labeled).tolist() == [3, 7, 9]


def test_release_and_h5_of_one_person_agree(tmp_path):
    """The .h5 has center and scale moved and grown; coordinates, head size and box come out the same."""
    release(tmp_path)
    truth = load_mpii(tmp_path, "trainval")[0]
    mpii_h5(
        tmp_path / "valid.h5", n=1, part=truth.xy_image[None].astype(float) + 1, center=[[201.0, 151 + 15 * 1.5]],
        scale=[1.5 * 1.25], normalize=[0.6 * 50], visible=(~truth.occluded)[None].astype(float),
    )  # fmt: skip
    same = load_mpii(tmp_path, "valid")[0]
    for field in ("xy_image", "labeled", "occluded", "box_xyxy"):
        assert np.array_equal(getattr(same, field), getattr(truth, field)), field
    assert (same.area, same.name) == (truth.area, truth.name)
    assert same.head_px == pytest.approx(truth.head_px)


def test_splits(tmp_path):
    with pytest.raises(UsageError, match="'val'; did you mean 'valid'"):
        load_mpii(tmp_path, "val")
    with pytest.raises(DataError, match=r"no valid\.h5 and no mpii_human_pose_v1_u12_\*\.mat"):
        load_mpii(tmp_path)
    release(tmp_path)
    assert mpii_splits(tmp_path) == ["trainval"]
    with pytest.raises(DataError, match=r"valid\.h5 does\. Put valid\.h5 in the same folder, or .* mpii:.*:trainval"):
        load_mpii(tmp_path, "train")
    (tmp_path / "annot").mkdir()
    mpii_h5(tmp_path / "annot" / "valid.h5", n=1)  # of image 0
    assert mpii_splits(tmp_path) == ["valid", "train"]
    assert [sample.image_id for sample in load_mpii(tmp_path, "train")] == [2]
    assert len(load_mpii(tmp_path, "trainval")) == 3
    mpii_h5(tmp_path / "train.h5", n=3)
    assert len(load_mpii(tmp_path, "train")) == 3


def test_image_names_as_numbers(tmp_path):
    """Torch has no text: one number a character, filled up with zeros."""
    names = np.zeros((4, 16))
    for i in range(4):
        names[i, :13] = [ord(letter) for letter in f"{i:09d}.jpg"]
    mpii_h5(tmp_path / "valid.h5", imgname=names)
    assert load_mpii(tmp_path)[3].name == "000000003.jpg"


H5 = {
    "a field is missing": ({"scale": None}, "has no 'scale'"),
    "another number of joints": ({"part": np.ones((4, 14, 2))}, r"part has shape \[4, 14, 2\]"),
    "a field of another length": ({"normalize": np.ones(3)}, r"normalize is float64 of shape \[3\]"),
    "not finite": ({"center": np.full((4, 2), np.nan)}, "center of person 0 is not finite"),
    "no scale": ({"scale": [1.0, 1, -2, 1]}, r"person 2 .*scale is -1\.6; expected"),
    "no head": ({"normalize": [30.0, 0, 30, 30]}, "person 1 .*the head size is 0"),
    "visibility": ({"visible": np.full((4, 16), 2.0)}, "visible has values other than"),
    "an image that is none": ({"index": [0, 1, 2.5, 3]}, "index is 2.5"),
    "names": ({"imgname": np.zeros(4)}, "imgname has shape"),
    "far away": ({"part": np.full((4, 16, 2), 1e30)}, r"person 0 .*a labeled joint is at \(1e\+30"),
}


@pytest.mark.parametrize(("changes", "says"), H5.values(), ids=H5.keys())
def test_a_bad_h5_names_file_and_field(tmp_path, changes, says):
    mpii_h5(tmp_path / "valid.h5", **changes)
    with pytest.raises(DataError, match=rf"valid\.h5.*{says}"):
        load_mpii(tmp_path)


def bad_point(**changes):
    return mpii_person(0) | {"annopoints": {"point": struct_array([{"x": 3.0, "y": 4.0, "id": 1} | changes])}}


POINTS = {
    "no such joint": (bad_point(id=16), r"annolist\(1\)\.annorect\(1\).*point\(1\)\.id is 16"),
    "no number": (bad_point(x="left"), r"point\(1\)\.x: expected one number"),
    "no place": (bad_point(y=np.zeros((0, 0))), r"a labeled joint is at \(2, nan\)"),
    "visibility": (bad_point(is_visible="?"), r"is_visible is '\?'; expected 0 or 1"),
    "visibility of no kind": (bad_point(is_visible=struct_array([{"a": 1}])), "is_visible: expected one number"),
    "points of no kind": (mpii_person(0) | {"annopoints": "none"}, "annopoints: expected a struct"),
    "scale": (mpii_person(0) | {"scale": -1.0}, r"annorect\(1\)\.scale: scale is -1"),
}


@pytest.mark.parametrize(("person", "says"), POINTS.values(), ids=POINTS.keys())
def test_a_bad_release_names_file_and_field(tmp_path, person, says):
    release(tmp_path, [[person]], [1])
    with pytest.raises(DataError, match=rf"{RELEASE}: RELEASE.*{says}"):
        load_mpii(tmp_path, "trainval")


def test_a_release_of_nobody(tmp_path):
    release(tmp_path, [[mpii_person(0)]], [0])
    with pytest.raises(DataError, match="has no people with a labeled joint"):
        load_mpii(tmp_path, "trainval")
    (tmp_path / RELEASE).write_bytes(mat({"annolist": np.ones(3)}))
    with pytest.raises(DataError, match="no struct named 'RELEASE'"):
        load_mpii(tmp_path, "trainval")


def test_a_head_box_of_no_size_leaves_the_head_unknown(tmp_path):
    release(tmp_path, [[mpii_person(0) | {"x2": 101.0, "y2": 21.0}]], [1])
    assert np.isnan(load_mpii(tmp_path, "trainval")[0].head_px)


def test_published_validation_set(data_root):
    data = load_mpii(data_root / "mpii")
    assert len(data) == 2958
    labeled = np.stack([sample.labeled for sample in data])
    assert labeled.sum() == 44240
    assert not any(sample.ignore for sample in data)
    assert all(sample.head_px > 0 for sample in data)
    upright = [sample.xy_image[9, 1] < sample.xy_image[6, 1] for sample in data if sample.labeled[[6, 9]].all()]
    assert np.mean(upright) > 0.9  # heads above hips: the order of joints is right
    with pytest.raises(DataError, match=r"cannot read image .*005808361\.jpg"):
        data[0].read()


def test_pckh_of_the_published_predictions_through_the_data_set(data_root):
    """The hourglass's row again, from Samples: what is measured is what was loaded."""
    from edgepose.measure.accuracy import evaluate
    from edgepose.measure.predictions import Engine, Predictions

    loadmat = pytest.importorskip("scipy.io").loadmat
    data = load_mpii(data_root / "mpii")
    pred = loadmat(data_root / "mpii" / "bearpaw-hg_s8_b1.mat")["preds"].astype(float) - 1
    engine = Engine(path="hg", precision="fp32", backend="torch", onnx_sha256="0" * 64, skeleton=MPII)
    (found,) = evaluate(
        [Predictions(engine=engine, xy_image=pred, scores=np.ones((2958, 16)))], data, n_boot=50
    ).engines
    row = found.metrics["pckh@0.5"].row
    published = {"shoulder": 95.19, "elbow": 90.08, "wrist": 85.32, "hip": 87.48, "knee": 84.26, "mean": 88.64}
    for column, value in published.items():
        assert 100 * row[column] == pytest.approx(value, abs=0.01), column
    assert 100 * row["ankle"] == pytest.approx(80.75, abs=0.01)  # 80.73 published: tests/metrics/test_rows.py
    assert found.metrics["pckh@0.5"].interval.value == pytest.approx(row["pooled"])
    assert found.metrics["pckh@0.5"].n == labeled_in_mean(data)


def labeled_in_mean(data):
    counts = [joint not in ("pelvis", "thorax") for joint in MPII.joints]
    return sum(int(sample.labeled[counts].sum()) for sample in data)
