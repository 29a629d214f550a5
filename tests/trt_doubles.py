"""Test doubles of the TensorRT bindings, one a generation: they have what the generation has, and refuse the rest.

`double("tensorrt-8.6.1")` makes a module. Which names its classes have comes from trt_api.json, which is copied
from the real bindings; what the names do is written once for all in trt_behavior.py.

Tests get this module as the fixture `trt_doubles`.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

from cuda_fake import FakeApi
from trt_behavior import BEHAVIORS, Value, World

from edgepose.backends.cuda import Driver
from edgepose.backends.cuda.device import Device

API = json.loads((Path(__file__).parent / "trt_api.json").read_text())
GENERATIONS: list[str] = API["versions"]
# Subclassed by the code under test, which may keep what it likes in them.
INTERFACES = ("ILogger", "IProgressMonitor", "IInt8EntropyCalibrator2")

ORIN = Device(name="Orin", compute_capability="8.7", integrated=True, driver="R36.4.3", cuda="12.6")


def double(generation: str) -> ModuleType:
    """The bindings of one generation, with a `_world` of their own."""
    module = ModuleType("tensorrt" if generation.startswith("tensorrt-") else "tensorrt_rtx_bindings")
    module.__version__ = generation.partition("-")[2]  # type: ignore[attr-defined]
    world = World()
    module._world = world  # type: ignore[attr-defined]
    bit = GENERATIONS.index(generation)
    for name, members in API["classes"].items():
        has = {key: kind for key, (where, kind) in members.items() if where[bit] == "1"}
        if has:
            setattr(module, name, _class(generation, module, name, has))
    return module


def _class(generation: str, module: ModuleType, name: str, has: dict[str, Any]) -> type:
    behavior = BEHAVIORS.get(name)
    given = dict(vars(behavior)) if behavior else {}
    body: dict[str, Any] = {key: item for key, item in given.items() if key.startswith("_")}
    body |= {"_module": module, "_world": module._world, "__doc__": None}
    body.pop("__dict__", None), body.pop("__weakref__", None)
    for number, (key, kind) in enumerate(has.items()):
        if kind in ("value", "Severity"):
            body[key] = Value(name, key, number)
        else:
            body[key] = given.get(key, _stored(key) if kind == "property" else _undone(name, key))
    if name not in INTERFACES:
        body["__setattr__"] = _guarded(generation, name, set(has))
    return type(name, (), body)


def _stored(name: str) -> property:
    def get(self: Any) -> Any:
        return vars(self).get(f"_{name}")

    def put(self: Any, value: Any) -> None:
        vars(self)[f"_{name}"] = value
        self._world.events.append((name, value))

    return property(get, put)


def _undone(kind: str, name: str) -> Any:
    def call(self: Any, *given: Any, **named: Any) -> Any:
        raise NotImplementedError(f"the double of {kind} does not do {name}")

    return call


def _guarded(generation: str, kind: str, has: set[str]) -> Any:
    def put(self: Any, name: str, value: Any) -> None:
        if not name.startswith("_") and name not in has:
            raise AttributeError(f"{kind} of {generation} has no {name!r}")
        object.__setattr__(self, name, value)

    return put


def driver_of(trt: ModuleType, **given: Any) -> Driver:
    """A driver in host memory on which the engines of a double run; `trt._world.api` is its `FakeApi`."""
    trt._world.api = FakeApi(memory=trt._world.memory, **given)
    return Driver(trt._world.api)
