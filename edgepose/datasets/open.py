"""`open_data("KIND:PATH[:SPLIT]")`: the words after `--data` and `--calib`.

    lsp:PATH[:train|test|fit|val]    Leeds Sports Pose, test unless said
    lspet:PATH                       LSP Extended
    coco:PATH[:SPLIT]                COCO keypoints; SPLIT may be left out where there is only one
    images:FOLDER                    photographs without labels
    synthetic:N[:SEED]               N rendered figures

A path may hold colons: what stands after the last one is a split only where the whole is no path.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edgepose.datasets.coco import coco_splits, load_coco
from edgepose.datasets.images import load_images
from edgepose.datasets.lsp import LSP_SPLITS, LSPET_SPLITS, load_lsp, load_lspet
from edgepose.datasets.samples import PoseData
from edgepose.datasets.synthetic import SyntheticPeople
from edgepose.errors import DataError, UsageError, nearest


class _Kind(NamedTuple):
    example: str
    open: Callable[[str], PoseData]  # takes what follows KIND:


def open_data(text: str) -> PoseData:
    """The data set that `text` names.

    UsageError for an unknown kind or split; DataError for a path that is not there or holds something else.
    Both say what is near, or show an example.
    """
    kind, colon, rest = text.partition(":")
    if kind not in KINDS:
        example = KINDS["lsp"].example
        hint = nearest(kind, KINDS)
        raise UsageError(f"unknown data {text!r}: {kind!r} is no kind of data{hint}. Write e.g. {example}")
    if not colon or not rest:
        raise UsageError(f"data {text!r} names nothing after {kind}:. Write e.g. {KINDS[kind].example}")
    return KINDS[kind].open(rest)


def _lsp(rest: str) -> PoseData:
    path, split = _path_and_split("lsp", rest)
    return load_lsp(path, _known("lsp", split or "test", list(LSP_SPLITS)))


def _lspet(rest: str) -> PoseData:
    path, split = _path_and_split("lspet", rest)
    return load_lspet(path, _known("lspet", split or "train", list(LSPET_SPLITS)))


def _coco(rest: str) -> PoseData:
    path, split = _path_and_split("coco", rest)
    return load_coco(path, split if split is None else _known("coco", split, coco_splits(path) or [split]))


def _images(rest: str) -> PoseData:
    path, split = _path_and_split("images", rest)
    if split is not None:
        raise UsageError(f"images:{path} has no splits, {split!r} means nothing. Write images:{path}")
    return load_images(path)


def _synthetic(rest: str) -> PoseData:
    count, _, seed = rest.partition(":")
    if not count.isdecimal() or not (seed or "0").isdecimal() or rest.endswith(":"):
        example = KINDS["synthetic"].example
        raise UsageError(f"synthetic:{rest}: expected whole numbers, synthetic:N[:SEED]. Write e.g. {example}")
    return SyntheticPeople(int(count), int(seed or "0"))


def _known(kind: str, split: str, splits: list[str]) -> str:
    if split not in splits:
        example = KINDS[kind].example
        raise UsageError(f"{kind} has no split {split!r}{nearest(split, splits)}. Write e.g. {example}")
    return split


def _path_and_split(kind: str, rest: str) -> tuple[Path, str | None]:
    """Where the data is, a folder that exists, and the split where one is named."""
    whole = Path(rest).expanduser()
    if whole.is_dir():
        return whole, None
    front, colon, split = rest.rpartition(":")
    path = Path(front).expanduser()
    if colon and front and path.is_dir():
        if not split:
            raise UsageError(f"{kind}:{rest} ends in a colon: name the split after it, or leave it out")
        return path, split
    missing = path if colon and front and "/" not in split else whole
    raise DataError(f"no folder {missing} for {kind}{_beside(missing)}. Write e.g. {KINDS[kind].example}")


def _beside(missing: Path) -> str:
    """The tail of "no folder X": the folder beside it with the nearest name, or how far the path exists."""
    parent = next(folder for folder in missing.absolute().parents if folder.is_dir())
    name = missing.absolute().relative_to(parent).parts[0]
    hint = nearest(name, [path.name for path in parent.iterdir() if path.is_dir()])
    if hint.startswith("; did you mean"):
        return f"{hint} (in {parent})"
    return f"; {parent} has no {name!r}"


KINDS: dict[str, _Kind] = {
    "lsp": _Kind("lsp:data/lsp:test", _lsp),
    "lspet": _Kind("lspet:data/lspet", _lspet),
    "coco": _Kind("coco:data/coco:val2017", _coco),
    "images": _Kind("images:photographs", _images),
    "synthetic": _Kind("synthetic:200", _synthetic),
}
