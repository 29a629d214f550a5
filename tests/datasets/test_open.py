"""KIND:PATH[:SPLIT]: what each word opens, colons in paths, and what a mistake is told."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from edgepose.datasets.open import KINDS, open_data
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
    "lps:photographs": "'lps' is no kind of data; did you mean 'lsp'.* e.g. lsp:",
    "photographs": "'photographs' is no kind of data; known: coco, images, lsp, lspet, synthetic",
    "": "'' is no kind of data",
    "lsp": "names nothing after lsp:.* e.g. lsp:",
    "images:": "names nothing after images:",
    "lsp:photographs:tset": "lsp has no split 'tset'; did you mean 'test'",
    "lspet:photographs:test": "lspet has no split 'test'; known: train",
    "coco:coco:val2014": "coco has no split 'val2014'; did you mean 'val2017'",
    "coco:coco": "has the splits train2017, val2017; name one, e.g. coco:coco:train2017",
    "coco:coco:": "ends in a colon",
    "images:photographs:val": "has no splits, 'val' means nothing",
    "synthetic:many": "expected whole numbers",
    "synthetic:3:": "expected whole numbers",
    "synthetic:-3": "expected whole numbers",
    "synthetic:3:x": "expected whole numbers",
    "synthetic:0": "a count of 1 or more",
}  # fmt: skip
DATA = {
    "lsp:photographs": r"no photographs/joints\.mat; expected joints\.mat and images/",
    "images:fotographs": r"no folder fotographs for images; did you mean 'photographs'\? \(in ",
    "images:photographs/deeper": "no folder photographs/deeper for images; .*photographs has no 'deeper'",
    "coco:cocoo:val2017": r"no folder cocoo for coco; did you mean 'coco'\?",
    "coco:photographs:val2017": "photographs is no COCO folder",
    "images:with:colour": "no folder with for images",
}


@pytest.mark.parametrize(("text", "says"), USAGE.items())
def test_wrong_words(here, text, says):
    with pytest.raises(UsageError, match=says):
        open_data(text)


@pytest.mark.parametrize(("text", "says"), DATA.items())
def test_wrong_places(here, text, says):
    with pytest.raises(DataError, match=says):
        open_data(text)
