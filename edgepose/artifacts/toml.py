"""Write a contract as a spec.toml that a person can edit."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgepose.pose.skeletons import SKELETONS

if TYPE_CHECKING:
    from edgepose.artifacts.spec import ModelSpec

BARE = re.compile(r"^[A-Za-z0-9_-]+$")
TABLES = ("input", "codec", "crop", "quantize")
SIZE = "[height, width]"


def spec_to_toml(spec: ModelSpec, *, family: str | None = None, remarks: Mapping[str, str] | None = None) -> str:
    """Return a contract as TOML.

    Args:
        spec: The contract.
        family: The family whose rewriting of the graph the contract needs; None where it fits the file as it is.
        remarks: Key, such as "input.mean" -> a remark, which is written as a comment behind it.

    Returns:
        The text, which `read_toml` and `spec_from_dict` read back to an equal contract (without `family`).
    """
    said = {"input.size": SIZE, **(remarks or {})}
    value = spec.to_json()
    if spec.skeleton == SKELETONS.get(spec.skeleton.name):
        value["skeleton"] = spec.skeleton.name
    top = {"name": value["name"], **({"family": family} if family else {})}
    top |= {key: value[key] for key in ("skeleton", "outputs")}
    lines = [_line(key, item, said.get(key)) for key, item in top.items()]
    for table in TABLES:
        rows = [_line(key, item, said.get(f"{table}.{key}")) for key, item in value[table].items()]
        lines += ["", f"[{table}]", *rows] if rows else []
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any, remark: str | None) -> str:
    return f"{_key(key)} = {toml_value(value)}" + (f"  # {' '.join(remark.split())}" if remark else "")


def _key(key: str) -> str:
    return key if BARE.match(key) else _text(key)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_value(value: Any) -> str:
    """Return a JSON value as TOML; an object becomes an inline table."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        items = ", ".join(f"{_key(key)} = {toml_value(item)}" for key, item in value.items())
        return f"{{ {items} }}" if items else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    return repr(value)
