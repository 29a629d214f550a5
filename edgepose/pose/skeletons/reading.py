"""Read the skeleton of a contract: a name, or a table with joints."""

from __future__ import annotations

from typing import Any

from edgepose.errors import SpecError, nearest
from edgepose.pose.skeletons.registry import SKELETONS
from edgepose.pose.skeletons.skeleton import PERSON, Skeleton


def skeleton_from(value: object, where: str) -> Skeleton:
    """Return the skeleton that a spec names or describes.

    Args:
        value: The name of a built-in skeleton, or a table with joints and optional name, flips, limbs and sigmas.
        where: The file and the field, for messages.

    Raises:
        SpecError: The name or the table is wrong.
    """
    if isinstance(value, str):
        if value == PERSON.name:
            return PERSON
        if value not in SKELETONS:
            raise SpecError(f"{where}: unknown skeleton {value!r}{nearest(value, SKELETONS)}")
        return SKELETONS[value]
    if not isinstance(value, dict):
        got = type(value).__name__
        raise SpecError(f"{where}: skeleton must be a name or a table with joints, got {got}")
    keys = {"name", "joints", "flips", "limbs", "sigmas"}
    for key in value:
        if key not in keys:
            raise SpecError(f"{where}: skeleton has unknown key {key!r}{nearest(key, keys)}")
    if "joints" not in value:
        raise SpecError(f"{where}: the skeleton table has no joints; name every output joint in order")
    fields: dict[str, Any] = {
        "name": _text(value.get("name", "custom"), f"{where}: skeleton name"),
        "joints": _texts(value["joints"], f"{where}: skeleton joints"),
        "flips": _pairs(value.get("flips", []), f"{where}: skeleton flips"),
        "limbs": _pairs(value.get("limbs", []), f"{where}: skeleton limbs"),
        "sigmas": _sigma_list(value.get("sigmas", []), f"{where}: skeleton sigmas"),
    }
    try:
        return Skeleton(**fields)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from error


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise SpecError(f"{where}: expected a name, got {value!r}")
    return value


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise SpecError(f"{where}: expected a list of names, got {value!r}")
    return tuple(_text(item, where) for item in value)


def _pairs(value: object, where: str) -> tuple[tuple[str, str], ...]:
    pairs = [_texts(item, where) for item in value] if isinstance(value, (list, tuple)) else [()]
    if not all(len(pair) == 2 for pair in pairs):
        raise SpecError(f"{where}: expected a list of pairs of names, got {value!r}")
    return tuple((pair[0], pair[1]) for pair in pairs)


def _sigma_list(value: Any, where: str) -> tuple[float, ...]:
    listed = isinstance(value, (list, tuple))
    if not listed or any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in value):
        raise SpecError(f"{where}: expected a list of numbers, got {value!r}")
    return tuple(float(number) for number in value)
