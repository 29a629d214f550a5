"""Damage to bytes, and to the fields of JSON and TOML."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

Random = np.random.Generator


def pick(random: Random, choices: Any) -> Any:
    """Return one of `choices`, which keeps its type."""
    return choices[int(random.integers(len(choices)))]


def damaged_bytes(raw: bytes, random: Random) -> tuple[bytes, str]:
    """Return damaged bytes and the name of the damage."""
    data = bytearray(raw)
    size = max(len(data), 1)
    at = int(random.integers(size))
    span = int(random.integers(1, max(2, min(size, 512))))
    way = pick(random, ["flip", "flip", "change", "truncate", "truncate", "zero", "extend", "repeat", "drop", "empty"])
    if way == "empty" and random.random() < 0.8:
        way = "flip"
    if way == "flip":
        for _ in range(int(pick(random, [1, 1, 3, 30]))):
            data[int(random.integers(size)) % size] ^= 1 << int(random.integers(8))
    elif way == "change":
        for _ in range(int(pick(random, [1, 3, 30]))):
            data[int(random.integers(size))] = int(pick(random, [0, 1, 127, 128, 255, random.integers(256)]))
    elif way == "truncate":
        del data[at:]
    elif way == "zero":
        data[at : at + span] = bytes(len(data[at : at + span]))
    elif way == "extend":
        data += random.integers(0, 256, span, np.uint8).tobytes()
    elif way == "repeat":
        data[at:at] = data[at : at + span]
    elif way == "drop":
        del data[at : at + span]
    else:
        data.clear()
    return bytes(data), f"bytes: {way}"


UNDAMAGED = "undamaged"  # a few inputs are, so that a refusal of everything shows
DEEP = "\0deep"  # stands for a value that is nested too deep for any parser
GONE = object()
VALUES: list[Any] = [
    GONE, None, True, False, "", "text", "ünïcödé ☃ \u202e", "x" * 5000, "../../etc/passwd", "\n\t\"'", [], {}, [[1]],
    [None], {"a": {"b": 1}}, 0, -1, 1, 0.5, -0.0, 1e-320, 1e38, 1e300, 10**30, -(10**30), 2**31, 2**63, float("nan"),
    float("inf"), -float("inf"), [0, 0], [1e9, 1e9], [-1, -1, -1], [float("nan")] * 3, "1", "NaN", DEEP,
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every entry of a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found: list[tuple[Any, ...]] = []
    for key, item in items:
        found += [(*path, key), *places(item, (*path, key))]
    return found


def damaged_value(value: Any, random: Random) -> tuple[Any, str]:
    """Return a copy of a JSON value with one to three damaged fields, and where they are."""
    made, names = copy.deepcopy(value), []
    for _ in range(int(pick(random, [1, 1, 1, 2, 3]))):
        every = places(made)
        if not every:
            break
        # short paths are few, and they would otherwise hardly ever be chosen
        depth = int(pick(random, sorted({len(path) for path in every})))
        path = pick(random, [path for path in every if len(path) == depth])
        made, name = _damaged_at(made, path, random)
        names.append(name)
    return made, "; ".join(names)


def _damaged_at(value: Any, path: tuple[Any, ...], random: Random) -> tuple[Any, str]:
    holder = value
    for step in path[:-1]:
        holder = holder[step]
    last, old = path[-1], holder[path[-1]]
    where = ".".join(map(str, path))
    way = pick(random, ["value", "value", "number", "number", "number", "rename", "double", "grow"])
    if way == "number" and (not isinstance(old, (int, float)) or isinstance(old, bool)):
        way = "value"
    if way == "number":
        holder[last] = pick(random, [-old, old * 1000, old / 1000, old * 1.01, old + 1, old - 1, str(old), 0])
        return value, f"{where}: number"
    if way == "rename" and isinstance(holder, dict):
        holder[pick(random, [f"{last}s", f" {last}", str(last).upper(), "ü" + str(last), ""])] = holder.pop(last)
        return value, f"{where}: renamed"
    if way in ("double", "grow") and isinstance(holder, list):
        holder[last:last] = [copy.deepcopy(old)] * (1 if way == "double" else 50)
        return value, f"{where}: repeated"
    new = pick(random, VALUES)
    if new is GONE:
        del holder[last]
    else:
        holder[last] = copy.deepcopy(new)
    return value, f"{where}: {'gone' if new is GONE else repr(new)[:30]}"


def json_text(value: Any) -> str:
    """Return JSON, with NaN and infinities as Python writes them, and with what `DEEP` stands for."""
    deep = "[" * 20000 + "]" * 20000
    return json.dumps(value).replace(json.dumps(DEEP), deep)


def damaged_json(value: Any, random: Random) -> tuple[bytes, str]:
    """Return the text of a JSON value that was damaged in its fields, or in its bytes."""
    way = random.random()
    if way < 0.02:
        return json_text(value).encode(), UNDAMAGED
    if way < 0.25:
        return damaged_bytes(json_text(value).encode(), random)
    made, name = damaged_value(value, random)
    text = json_text(made).encode()
    way = random.random()
    if way < 0.02:
        return b"\xef\xbb\xbf" + text, f"{name}; byte order mark"
    if way < 0.03:
        return text.decode().encode("utf-16"), f"{name}; UTF-16"
    return text, name


def toml_text(table: dict[str, Any]) -> str:
    """Return a table as TOML, each value on one line."""
    return "".join(f"{_key(key)} = {_toml(value)}\n" for key, value in table.items())


def _key(key: Any) -> str:
    return str(key) if re.fullmatch(r"[A-Za-z0-9_-]+", str(key)) else json.dumps(str(key))


def _toml(value: Any) -> str:
    if value == DEEP:
        return "[" * 3000 + "]" * 3000
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float) and not np.isfinite(value):
        return "nan" if np.isnan(value) else "inf" if value > 0 else "-inf"
    return '"none"' if value is None else json.dumps(value)


def damaged_toml(table: dict[str, Any], random: Random) -> tuple[bytes, str]:
    """Return the text of a TOML table that was damaged in its fields, or in its bytes."""
    way = random.random()
    if way < 0.02:
        return toml_text(table).encode(), UNDAMAGED
    if way < 0.25:
        return damaged_bytes(toml_text(table).encode(), random)
    made, name = damaged_value(table, random)
    return toml_text(made).encode(), name


def damage_file(path: Path, random: Random) -> str:
    """Damage the bytes of a file in place and return the name of the damage."""
    data, name = damaged_bytes(path.read_bytes(), random)
    path.write_bytes(data)
    return name
