"""`open_data("KIND:PATH[:SPLIT]")`: the words after `--data` and `--calib`.

    lsp:PATH[:train|test|fit|val]          Leeds Sports Pose, test unless said
    lspet:PATH                             LSP Extended
    mpii:PATH[:valid|train|trainval]       MPII, valid unless said
    flic:PATH[:train|test]                 FLIC, test unless said
    coco:PATH[:SPLIT]                      COCO keypoints; SPLIT may be left out where there is only one
    json:LABELS.json[:SKELETON.toml]       labels of your own, in COCO's JSON
    images:FOLDER                          photographs without labels
    synthetic:N[:SEED]                     N rendered figures

A path may hold colons: what stands after the last one is a split only where the whole is no path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from edgepose.datasets.coco import coco_splits, load_coco
from edgepose.datasets.flic import FLIC_SPLITS, load_flic
from edgepose.datasets.images import load_images
from edgepose.datasets.lsp import LSP_SPLITS, LSPET_SPLITS, load_lsp, load_lspet
from edgepose.datasets.mpii import MPII_SPLITS, load_mpii, mpii_splits
from edgepose.datasets.own import load_own
from edgepose.datasets.samples import PoseData
from edgepose.datasets.synthetic import SyntheticPeople
from edgepose.errors import DataError, UsageError, nearest


class _Kind(NamedTuple):
    example: str
    open: Callable[[str], PoseData]  # takes what follows KIND:
    disjoint: Callable[[Path], list[str]] | None = None  # the splits of a folder that should share nobody


def open_data(text: str) -> PoseData:
    """The data set that `text` names.

    UsageError for an unknown kind or split; DataError for a path that is not there or holds something else.
    Both say what is near, or show an example.
    """
    kind, rest = _kind_and_rest(text)
    return KINDS[kind].open(rest)


def every_split(text: str) -> list[str]:
    """What `text` stands for when the whole data set is meant: a text for each split that should share nobody.

    One that names its split, or whose kind has none, stands for itself. Errors as `open_data`, which is not
    asked whether the splits can be read.
    """
    kind, rest = _kind_and_rest(text)
    splits = KINDS[kind].disjoint
    if splits is None:
        return [text]
    path, split = _path_and_split(kind, rest)
    found = splits(path) if split is None else []
    return [f"{kind}:{path}:{name}" for name in found] or [text]


def _kind_and_rest(text: str) -> tuple[str, str]:
    kind, colon, rest = text.partition(":")
    if kind not in KINDS:
        example = KINDS["lsp"].example
        hint = nearest(kind, KINDS)
        raise UsageError(f"unknown data {text!r}: {kind!r} is no kind of data{hint}. Write e.g. {example}")
    if not colon or not rest:
        raise UsageError(f"data {text!r} names nothing after {kind}:. Write e.g. {KINDS[kind].example}")
    return kind, rest


def _in_splits(
    kind: str, load: Callable[[Path, str], PoseData], splits: Iterable[str], default: str
) -> Callable[[str], PoseData]:
    """Opens a data set that is published in `splits`; `default` where none is named."""

    def opened(rest: str) -> PoseData:
        path, split = _path_and_split(kind, rest)
        return load(path, _known(kind, split or default, list(splits)))

    return opened


def _coco(rest: str) -> PoseData:
    path, split = _path_and_split("coco", rest)
    return load_coco(path, split if split is None else _known("coco", split, coco_splits(path) or [split]))


def _json(rest: str) -> PoseData:
    whole = Path(rest).expanduser()
    if whole.is_file():
        return load_own(whole)
    front, colon, skeleton = rest.rpartition(":")
    labels = Path(front).expanduser()
    if not colon or not labels.is_file():
        missing = labels if colon else whole
        raise DataError(f"no file {missing} for json{_beside(missing, folders=False)}. Write e.g. {_example('json')}")
    if not skeleton:
        raise UsageError(f"json:{rest} ends in a colon: name the skeleton's TOML file after it, or leave it out")
    return load_own(labels, Path(skeleton).expanduser())


def _images(rest: str) -> PoseData:
    path, split = _path_and_split("images", rest)
    if split is not None:
        raise UsageError(f"images:{path} has no splits, {split!r} means nothing. Write images:{path}")
    return load_images(path)


def _synthetic(rest: str) -> PoseData:
    count, _, seed = rest.partition(":")
    if not count.isdecimal() or not (seed or "0").isdecimal() or rest.endswith(":"):
        example = _example("synthetic")
        raise UsageError(f"synthetic:{rest}: expected whole numbers, synthetic:N[:SEED]. Write e.g. {example}")
    return SyntheticPeople(int(count), int(seed or "0"))


def _known(kind: str, split: str, splits: list[str]) -> str:
    if split not in splits:
        raise UsageError(f"{kind} has no split {split!r}{nearest(split, splits)}. Write e.g. {_example(kind)}")
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
    raise DataError(f"no folder {missing} for {kind}{_beside(missing)}. Write e.g. {_example(kind)}")


def _beside(missing: Path, *, folders: bool = True) -> str:
    """The tail of "no folder X": what stands beside it with the nearest name, or how far the path exists."""
    parent = next(folder for folder in missing.absolute().parents if folder.is_dir())
    name = missing.absolute().relative_to(parent).parts[0]
    hint = nearest(name, [path.name for path in parent.iterdir() if path.is_dir() == folders])
    if hint.startswith("; did you mean"):
        return f"{hint} (in {parent})"
    return f"; {parent} has no {name!r}"


def _example(kind: str) -> str:
    return KINDS[kind].example


KINDS: dict[str, _Kind] = {
    "lsp": _Kind("lsp:data/lsp:test", _in_splits("lsp", load_lsp, LSP_SPLITS, "test"), lambda path: ["train", "test"]),
    "lspet": _Kind("lspet:data/lspet", _in_splits("lspet", load_lspet, LSPET_SPLITS, "train")),
    "mpii": _Kind("mpii:data/mpii:valid", _in_splits("mpii", load_mpii, MPII_SPLITS, "valid"), mpii_splits),
    "flic": _Kind(
        "flic:data/flic:test", _in_splits("flic", load_flic, FLIC_SPLITS, "test"), lambda path: ["train", "test"]
    ),
    "coco": _Kind("coco:data/coco:val2017", _coco, coco_splits),
    "json": _Kind("json:labels.json:skeleton.toml", _json),
    "images": _Kind("images:photographs", _images),
    "synthetic": _Kind("synthetic:200", _synthetic),
}
