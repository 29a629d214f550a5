"""The category of a label file that holds the people, and the annotations that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgepose.datasets.fields import Entry, identity, named
from edgepose.datasets.remarks import Kind, Remarks, short
from edgepose.errors import DataError, nearest

LEFT_OUT = Kind(
    "annotations of another category have labeled joints and are left out",
    "to read them instead, write json:LABELS:CATEGORY",
)


@dataclass(frozen=True, kw_only=True)
class People:
    """The category of the people.

    Attributes:
        keys: The numbers of the category as text, several if categories with the same joints are read as one. None if
            the file has no categories, so that every annotation belongs to it.
        joints: The names of its joints; None if it names none.
    """

    keys: tuple[str, ...] | None
    joints: tuple[str, ...] | None


def choose_category(content: Entry, path: Path, wanted: str | None = None) -> People:
    """Choose the category of the people.

    Without `wanted` it is the only category, the only one with joints, all categories where they have the same joints,
    or the category `person`.

    Args:
        content: The label file.
        path: Its path, for messages.
        wanted: The name or the id of the category that the user chose.

    Raises:
        DataError: The file has no such category, or several and none was chosen.
    """
    categories = _categories(content, path)
    if wanted is not None:
        chosen = [one for one in categories if wanted in (one.get("name"), str(one.get("id")))]
        if not chosen:
            names = [str(one.get("name", one.get("id"))) for one in categories]
            raise DataError(f"{path} has no category {wanted!r}{nearest(wanted, names)}")
    else:
        chosen = _without_choice(categories, path)
    if not chosen:
        return People(keys=None, joints=None)
    joints = _joints(chosen[0], path)
    with_id = [one for one in chosen if "id" in one]
    keys = tuple(identity(one, "id", f"{path}: category") for one in with_id)
    return People(keys=keys or None, joints=joints)


def _categories(content: Entry, path: Path) -> list[Entry]:
    categories = content.get("categories") or []
    if not isinstance(categories, list) or not all(isinstance(one, dict) for one in categories):
        raise DataError(f"{path} has no list of 'categories'; is it a file of COCO keypoints?")
    return categories


def _without_choice(categories: list[Entry], path: Path) -> list[Entry]:
    named = [one for one in categories if one.get("keypoints")] or categories
    if len(named) > 1 and named[0].get("keypoints") and len({_joints(one, path) for one in named}) == 1:
        return named
    if len(named) > 1:
        people = [one for one in named if one.get("name") == "person"]
        if len(people) != 1:
            names = ", ".join(str(one.get("name", one.get("id"))) for one in named)
            raise DataError(
                f"{path}: categories names {len(named)} categories of people with keypoints, {names}; expected one. "
                f"Choose with json:{path}:{named[0].get('name', named[0].get('id'))}"
            )
        return people
    return named


def _joints(category: Entry, path: Path) -> tuple[str, ...] | None:
    named = category.get("keypoints")
    if named is None:
        return None
    if not isinstance(named, list) or not all(isinstance(joint, str) for joint in named):
        raise DataError(f"{path}: keypoints of the category is {short(named)}; expected a list of joint names")
    return tuple(named)


def select(annotations: Sequence[Entry], people: People, content: Entry, remarks: Remarks) -> list[Entry]:
    """Return the annotations of the people.

    Args:
        annotations: All annotations of the file.
        people: The category of the people.
        content: The label file.
        remarks: Receives annotations with joints that are left out.

    Raises:
        DataError: Annotations with joints belong to a category that the file does not list, or all of them belong to
            categories without joints.
    """
    if people.keys is None:
        return list(annotations)
    path = remarks.path
    listed = {str(one.get("id")) for one in _categories(content, path)} | set(people.keys)
    chosen, others = [], []
    for i, entry in enumerate(annotations):
        key = identity(entry, "category_id", f"{path}: {named(entry, i)}") if "category_id" in entry else None
        if key is None or key in people.keys:
            chosen.append(entry)
        else:
            others.append((i, key, entry))
    lost = [(i, key, entry) for i, key, entry in others if _has_joints(entry)]
    strangers = [one for one in lost if one[1] not in listed]
    if strangers or (others and not chosen):
        raise DataError(_stray(strangers or others, people, path))
    for i, key, entry in lost:
        remarks.add(LEFT_OUT, named(entry, i), f"category_id {key}")
    return chosen


def _stray(strays: list[tuple[int, str, Entry]], people: People, path: Path) -> str:
    keys = ", ".join(dict.fromkeys(key for _, key, _ in strays))
    count = f"{len(strays)} annotation{'s are' if len(strays) > 1 else ' is'}"
    example = named(strays[0][2], strays[0][0])
    return (
        f"{path}: {count} of category {short(keys).strip(chr(39))}, which has no joints here; joints are listed for "
        f"category {', '.join(people.keys or ())}. Correct category_id, e.g. of {example}, or the id in categories"
    )


def _has_joints(entry: Entry) -> bool:
    flat = entry.get("keypoints")
    return isinstance(flat, list) and any(value not in (0, None) for value in flat[2::3])
