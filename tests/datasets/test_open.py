"""KIND:PATH[:SPLIT]: what each word opens, colons in paths, and what a mistake is told."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from edgepose.datasets.open import KINDS, every_split, open_data
from edgepose.errors import DataError, UsageError


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with photographs/, with:colon/ and a COCO folder of two splits."""
    monkeypatch.chdir(tmp_path)
    for folder in ("photographs", "with:colon"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), np.zeros((4, 5, 3), np.uint8))
    (tmp_path / "coco" / "annotations").mkdir(parents=True)
    for split in ("val2017", "train2017"):
        (tmp_path / "coco" / split).mkdir()
        path = tmp_path / "coco" / "annotations" / f"person_keypoints_{split}.json"
        path.write_text(json.dumps({"images": [], "annotations": []}))
    return tmp_path


def test_kinds(here):
    assert open_data("images:photographs").name == "images:photographs"
    assert len(open_data("synthetic:12")) == 12
    assert open_data("synthetic:12:5").name == "synthetic:12:5"
    assert open_data("coco:coco:val2017").name == "coco:coco:val2017"
    assert all(kind.example.startswith(f"{name}:") for name, kind in KINDS.items())


def test_photographs(data_root):
    assert open_data(f"lsp:{data_root / 'lsp'}").name.endswith(":test")
    assert len(open_data(f"lsp:{data_root / 'lsp'}:val")) == 100
    assert len(open_data(f"lspet:{data_root / 'lspet'}")) == 10000
    assert len(open_data(f"coco:{data_root / 'coco-mini'}:val2017")) == 93
    assert open_data(f"mpii:{data_root / 'mpii'}").name.endswith(":valid")


def test_every_split_of_a_whole_data_set(here, data_root):
    assert every_split("coco:coco") == ["coco:coco:train2017", "coco:coco:val2017"]
    assert every_split("coco:coco:val2017") == ["coco:coco:val2017"]
    assert every_split("synthetic:12") == ["synthetic:12"]
    lsp = data_root / "lsp"
    assert every_split(f"lsp:{lsp}") == [f"lsp:{lsp}:train", f"lsp:{lsp}:test"]
    assert every_split(f"lsp:{lsp}:fit") == [f"lsp:{lsp}:fit"]
    assert every_split(f"mpii:{data_root / 'mpii'}") == [f"mpii:{data_root / 'mpii'}:valid"]
    assert every_split("flic:photographs") == ["flic:photographs:train", "flic:photographs:test"]
    assert every_split("mpii:photographs") == ["mpii:photographs"]  # nothing there: opening it says so
    with pytest.raises(UsageError, match="not a kind of data"):
        every_split("photographs")


def test_a_path_may_hold_colons(here):
    assert open_data("images:with:colon").name == "images:with:colon"
    (here / "coco").rename(here / "co:co")
    assert open_data("coco:co:co:train2017").name == "coco:co:co:train2017"
    (here / "photographs").rename(here / "photographs:test")
    assert open_data("images:photographs:test").name == "images:photographs:test"


def test_home(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    assert len(open_data("images:~/photographs")) == 1


USAGE = {
    "lps:photographs": "'lps' is not a kind of data; did you mean 'lsp'.* e.g. lsp:",
    "photographs": "'photographs' is not a kind of data; known: coco, flic, images, json, lsp, lspet, mpii, synthetic",
    "": "'' is not a kind of data",
    "lsp": "names nothing after lsp:.* e.g. lsp:",
    "images:": "names nothing after images:",
    "lsp:photographs:tset": "lsp has no split 'tset'; did you mean 'test'",
    "lspet:photographs:test": "lspet has no split 'test'; known: train",
    "coco:coco:val2014": "coco has no split 'val2014'; did you mean 'val2017'",
    "mpii:photographs:val": "mpii has no split 'val'; did you mean 'valid'",
    "flic:photographs:val": "flic has no split 'val'; known: test, train",
    "coco:coco": "has the splits train2017, val2017; name one, e.g. coco:coco:train2017",
    "coco:coco:": "ends in a colon",
    "images:photographs:val": "has no splits, but the text names split 'val'",
    "synthetic:many": "expected whole numbers",
    "synthetic:3:": "expected whole numbers",
    "synthetic:-3": "expected whole numbers",
    "synthetic:3:x": "expected whole numbers",
    "synthetic:0": "a count of 1 or more",
}  # fmt: skip
DATA = {
    "lsp:photographs": r"photographs/joints\.mat does not exist; expected joints\.mat and images/",
    "images:fotographs": r"no folder fotographs for images; did you mean 'photographs'\? \(in ",
    "images:photographs/deeper": "no folder photographs/deeper for images; .*photographs has no 'deeper'",
    "coco:cocoo:val2017": r"no folder cocoo for coco; did you mean 'coco'\?",
    "coco:photographs:val2017": "photographs is not a COCO folder",
    "mpii:photographs": r"no valid\.h5 and no mpii_human_pose_v1_u12_\*\.mat in photographs",
    "flic:photographs": r"photographs/examples\.mat does not exist; expected examples\.mat and images/",
    "json:labels.json": r"no file labels\.json for json; .*has no 'labels\.json'",
    "images:with:color": "no folder with for images",
}


@pytest.mark.parametrize(("text", "says"), USAGE.items())
def test_wrong_words(here, text, says):
    with pytest.raises(UsageError, match=says):
        open_data(text)


@pytest.mark.parametrize(("text", "says"), DATA.items())
def test_wrong_places(here, text, says):
    with pytest.raises(DataError, match=says):
        open_data(text)
