"""FLIC: which columns are which joints, splits, gaps, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from labelfiles import flic_examples, mat, struct_array

from edgepose.datasets.flic import FLIC, load_flic
from edgepose.errors import DataError, UsageError


def write(root, content=None):
    (root / "images").mkdir(exist_ok=True)
    (root / "examples.mat").write_bytes(mat(content or flic_examples()))
    return root


def change(i, **fields):
    examples = flic_examples()["examples"]
    for field, value in fields.items():
        examples[0, i][field] = value
    return {"examples": examples}


def test_as_published(tmp_path):
    content = flic_examples()
    data = load_flic(write(tmp_path, content), "test")
    assert data.name == f"flic:{tmp_path}:test"
    assert data.image_ids == (2, 4)
    assert [sample.name for sample in data] == ["film-00000001.jpg", "film-00000003.jpg"]
    coords = content["examples"][0, 1]["coords"]
    for joint, column in (("left_shoulder", 0), ("right_wrist", 5), ("right_hip", 9), ("left_eye", 12), ("nose", 16)):
        assert data[0].xy_image[FLIC.index(joint)].tolist() == (coords[:, column] - 1).tolist(), joint
    assert data[0].labeled.all()
    assert not data[0].occluded.any()
    low, high = np.nanmin(coords, axis=1) - 1, np.nanmax(coords, axis=1) - 1
    assert data[0].box_xyxy.tolist() == [*low, *high]
    assert len(load_flic(tmp_path, "train")) == 2


def test_gaps_are_not_labeled(tmp_path):
    content = flic_examples()
    content["examples"][0, 1]["coords"][0, 5] = np.nan
    sample = load_flic(write(tmp_path, content))[0]
    assert [FLIC.joints[k] for k in np.flatnonzero(~sample.labeled)] == ["right_wrist"]


BAD = {
    "coords of another size": (change(1, coords=np.zeros((2, 28))), r"examples\(2\)\.coords: expected .* \[2, 29\]"),
    "coords as text": (change(1, coords="none"), r"examples\(2\)\.coords: expected an array"),
    "infinite": (change(1, coords=np.full((2, 29), np.inf)), r"examples\(2\)\.coords: a labeled joint is at \(inf"),
    "no name": (change(1, filepath=np.zeros((0, 0))), r"examples\(2\)\.filepath: expected text"),
    "a name of no text": (change(1, filepath=3.0), r"examples\(2\)\.filepath: expected text"),
    "neither yes nor no": (change(1, istest=2.0), r"examples\(2\)\.istest is 2"),
    "no split": ({"examples": struct_array([{"coords": np.zeros((2, 29)), "filepath": "a"}])}, "no field 'istrain'"),
    "something else": ({"examples": np.ones(3)}, "no struct named 'examples'"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "says"), BAD.values(), ids=BAD.keys())
def test_refusals_name_file_and_field(tmp_path, content, says):
    with pytest.raises(DataError, match=rf"examples\.mat.*{says}"):
        load_flic(write(tmp_path, content))


def test_places(tmp_path):
    with pytest.raises(DataError, match=r"examples\.mat does not exist; expected examples\.mat and images/"):
        load_flic(tmp_path)
    with pytest.raises(UsageError, match="'tests'; did you mean 'test'"):
        load_flic(tmp_path, "tests")
    write(tmp_path, {"examples": flic_examples()["examples"][:, :1]})
    with pytest.raises(DataError, match="no people in split test"):
        load_flic(tmp_path)
