"""Open a data set by name: `open_data("KIND:PATH[:SPLIT]")`, the form that `--data` and `--calib` take.

    lsp:PATH[:train|test|fit|val]          Leeds Sports Pose; the default split is test
    lspet:PATH                             LSP Extended
    mpii:PATH[:valid|train|trainval]       MPII; the default split is valid
    flic:PATH[:train|test]                 FLIC; the default split is test
    coco:PATH[:SPLIT]                      COCO keypoints; SPLIT is optional if there is only one
    json:LABELS.json[:SKELETON][:CATEGORY] your own labels in COCO's JSON format (`own.py`)
    images:FOLDER[:recursive]              photographs without labels; `recursive` takes those in sub-folders too
    synthetic:N[:SEED]                     N rendered figures

A path may contain colons: the text after the last colon is a split only if the whole text is not an existing path.
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
from edgepose.pose.skeletons import SKELETONS


class _Kind(NamedTuple):
    example: str
    open: Callable[[str], PoseData]  # takes the text after "KIND:"
    disjoint: Callable[[Path], list[str]] | None = None  # the splits of a folder that should share no people


def open_data(text: str) -> PoseData:
    """Open the data set that a text names.

    Args:
        text: KIND:PATH[:SPLIT], as in the module's docstring.

    Returns:
        The data set.

    Raises:
        UsageError: The kind or the split does not exist. The message suggests a similar name or shows an example.
        DataError: The path does not exist or holds something else.
    """
    kind, rest = _kind_and_rest(text)
    return KINDS[kind].open(rest)


def every_split(text: str) -> list[str]:
    """List the splits to compare when a whole data set is meant.

    Args:
        text: KIND:PATH[:SPLIT].

    Returns:
        One text per split that should share no people with the others. If `text` names its split, or its kind has no
        splits, the only element is `text` itself.

    Raises:
        UsageError: The kind does not exist.
        DataError: The path does not exist.
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
        raise UsageError(f"unknown data {text!r}: {kind!r} is not a kind of data{hint}. Write e.g. {example}")
    if not colon or not rest:
        raise UsageError(f"data {text!r} names nothing after {kind}:. Write e.g. {KINDS[kind].example}")
    return kind, rest


def _in_splits(
    kind: str, load: Callable[[Path, str], PoseData], splits: Iterable[str], default: str
) -> Callable[[str], PoseData]:
    """Return a function that opens a data set published in `splits`; `default` applies if the text names none."""

    def opened(rest: str) -> PoseData:
        path, split = _path_and_split(kind, rest)
        return load(path, _known(kind, split or default, list(splits)))

    return opened


def _coco(rest: str) -> PoseData:
    path, split = _path_and_split("coco", rest)
    return load_coco(path, split if split is None else _known("coco", split, coco_splits(path) or [split]))


def _json(rest: str) -> PoseData:
    labels, tail = _file_and_words(rest)
    if not all(tail):
        raise UsageError(f"json:{rest} ends in a colon: add the skeleton's TOML file after it, or remove the colon")
    skeleton = None
    if tail and (tail[0] in SKELETONS or Path(tail[0]).suffix == ".toml" or Path(tail[0]).expanduser().is_file()):
        first = tail.pop(0)
        skeleton = first if first in SKELETONS else Path(first).expanduser()
    if len(tail) > 1:
        raise UsageError(f"json:{rest}: expected json:LABELS[:SKELETON][:CATEGORY]. Write e.g. {_example('json')}")
    return load_own(labels, skeleton, *tail)


def _file_and_words(rest: str) -> tuple[Path, list[str]]:
    """Return the label file, which exists, and the words after it."""
    whole, front, tail = Path(rest).expanduser(), rest, list[str]()
    while not Path(front).expanduser().is_file():
        front, colon, word = front.rpartition(":")
        if not colon:
            missing = Path(rest.partition(":")[0]).expanduser() if ":" in rest else whole
            hint = _hint_at(missing, folders=False)
            raise DataError(f"no file {missing} for json{hint}. Write e.g. {_example('json')}")
        tail.insert(0, word)
    return Path(front).expanduser(), tail


def _images(rest: str) -> PoseData:
    path, split = _path_and_split("images", rest)
    if split not in (None, "recursive"):
        raise UsageError(f"images:{path} has no splits, but the text names split {split!r}. Write images:{path}")
    return load_images(path, recursive=split == "recursive")


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
    """Return the folder, which exists, and the split if the text names one."""
    whole = Path(rest).expanduser()
    if whole.is_dir():
        return whole, None
    front, colon, split = rest.rpartition(":")
    path = Path(front).expanduser()
    if colon and front and path.is_dir():
        if not split:
            raise UsageError(f"{kind}:{rest} ends in a colon: add a split after it, or remove the colon")
        return path, split
    missing = path if colon and front and "/" not in split else whole
    raise DataError(f"no folder {missing} for {kind}{_hint_at(missing)}. Write e.g. {_example(kind)}")


def _hint_at(missing: Path, *, folders: bool = True) -> str:
    """Return the end of a message "no folder X": a similar name nearby, or which part of the path is missing."""
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
