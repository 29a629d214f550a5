"""Leeds Sports Pose: counts, joint order, the shift from 1 to 0, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.datasets.lsp import LSP_SPLITS, load_lsp, load_lspet
from edgepose.errors import DataError, UsageError
from edgepose.pose.skeletons import SKELETONS

scipy_io = pytest.importorskip("scipy.io")
NAMES = SKELETONS["lsp14"].joints


def write(root, joints):
    (root / "images").mkdir(exist_ok=True)
    scipy_io.savemat(root / "joints.mat", {"joints": joints}, do_compression=True)


@pytest.fixture
def lsp_joints():
    """[3, 14, 2000]: joint k of person i at (10 + k, 20 + 2 k + i); joint 3 is occluded."""
    k, i = np.arange(14)[:, None], np.arange(2000)[None]
    joints = np.stack([10 + k + 0 * i, 20 + 2 * k + i, 0 * (k + i)]).astype(float)
    joints[2, 3] = 1
    return joints


def test_lsp_as_published(tmp_path, lsp_joints):
    write(tmp_path, lsp_joints)
    data = load_lsp(tmp_path, "test")
    assert len(data) == 1000
    assert data.name == f"lsp:{tmp_path}:test"
    assert data.image_ids == tuple(range(1001, 2001))
    first = data[0]
    assert (first.image_id, first.name) == (1001, "im1001.jpg")
    assert first.xy_image.dtype == np.float32
    assert first.xy_image[4].tolist() == [13, 20 + 8 + 1000 - 1]  # counted from 1 in the file, from 0 here
    assert first.labeled.all()
    assert first.occluded.tolist() == [k == 3 for k in range(14)]
    assert first.box_xyxy.tolist() == [9, 1019, 22, 1045]
    assert first.area == 13 * 26
    assert not first.ignore


def test_splits_divide_the_photographs(tmp_path, lsp_joints):
    write(tmp_path, lsp_joints)
    ids = {split: set(load_lsp(tmp_path, split).image_ids) for split in LSP_SPLITS}
    assert ids["train"] | ids["test"] == set(range(1, 2001))
    assert not ids["train"] & ids["test"]
    assert ids["fit"] | ids["val"] == ids["train"]
    assert not ids["fit"] & ids["val"]
    with pytest.raises(UsageError, match="'tets'; did you mean 'test'"):
        load_lsp(tmp_path, "tets")


def test_lspet_as_published(tmp_path):
    joints = np.full((14, 3, 10000), 5.0)
    joints[:, 2] = 1
    joints[2:, 2, 7] = 0  # person 8: the two right leg joints only
    joints[2:, 0, 7] = np.nan  # where nothing is labeled anything may stand
    joints[:, 2, 8] = 0
    joints[1, :2, 7] = 30, 40
    write(tmp_path, joints)
    data = load_lspet(tmp_path)
    assert len(data) == 10000
    assert data[7].name == "im00008.jpg"
    assert [NAMES[k] for k in np.flatnonzero(data[7].labeled)] == ["right_ankle", "right_knee"]
    assert data[7].box_xyxy.tolist() == [4, 4, 29, 39]
    assert np.isfinite(data[7].xy_image).all()
    assert not data[7].occluded.any()
    assert data[8].ignore
    assert not data[7].ignore


def test_refusals(tmp_path, lsp_joints):
    with pytest.raises(DataError, match=r"joints\.mat does not exist; expected joints\.mat and images/"):
        load_lsp(tmp_path)
    write(tmp_path, lsp_joints[:, :, :1500])
    with pytest.raises(DataError, match=r"shape \[3, 14, 1500\]; expected \[3, 14, 2000\]"):
        load_lsp(tmp_path)
    with pytest.raises(DataError, match=r"expected \[14, 3, 10000\]"):
        load_lspet(tmp_path)
    lsp_joints[0, 5, 1200] = np.nan
    write(tmp_path, lsp_joints)
    with pytest.raises(DataError, match=r"im1201\.jpg: a labeled joint"):
        load_lsp(tmp_path, "test")
    with pytest.raises(DataError, match=r"cannot read image .*im0001\.jpg"):
        load_lsp(tmp_path, "train")[0].read()


def test_photographs(data_root):
    data = load_lsp(data_root / "lsp", "test")
    image = data[0].read()
    assert image.shape[2] == 3
    assert image.dtype == np.uint8
    xy = np.stack([sample.xy_image for sample in data])
    at = {name: xy[:, k] for k, name in enumerate(NAMES)}
    # upright people in most photographs: the order is right when heads are above ankles
    assert (at["head_top"][:, 1] < at["right_ankle"][:, 1]).mean() > 0.9
    # most face the camera, so that their right side is on the left of the picture
    assert (at["right_shoulder"][:, 0] < at["left_shoulder"][:, 0]).mean() > 0.6
    assert (at["right_hip"][:, 0] < at["left_hip"][:, 0]).mean() > 0.6
    assert 0.02 < np.mean([sample.occluded for sample in data]) < 0.3


def test_extended_photographs(data_root):
    data = load_lspet(data_root / "lspet")
    labeled = np.stack([sample.labeled for sample in data])
    assert len(data) == 10000
    assert (labeled.sum(axis=1) == 14).sum() == 3945  # as the data's README says
    data[9999].read()
