"""Copies into trt_api.json, beside this file, the names that the doubles need from a record of the real API.

    python tests/trt_api.py ../shared/tensorrt-api

The record holds a file a version of the library, read from its bindings. The copy holds, for each class, each
member with the versions that have it (a 1 for each, in order) and the names of its arguments.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

CLASSES = (
    "ILogger", "Builder", "NetworkDefinitionCreationFlag", "INetworkDefinition", "ITensor", "ILayer", "LayerType",
    "IBuilderConfig", "BuilderFlag", "MemoryPoolType", "ProfilingVerbosity", "IOptimizationProfile", "OnnxParser",
    "ParserError", "DeviceType", "ITimingCache", "IProgressMonitor", "IInt8EntropyCalibrator2", "ComputeCapability",
    "Runtime", "ICudaEngine", "IExecutionContext", "EngineInspector", "LayerInformationFormat", "TensorIOMode",
    "DataType", "IHostMemory", "ExecutionContextAllocationStrategy",
    "PreviewFeature", "IRuntimeConfig", "DynamicShapesKernelSpecializationStrategy",
)  # fmt: skip
SKIPPED = r"add_|binding|_plugin|weight|debug"  # members that have nothing to do with building and running


def arguments(member: Any) -> list[str] | str:
    """`value`, `property`, or the argument names of a method; `overloaded` where it has several forms."""
    if isinstance(member, str):
        return member
    found = re.fullmatch(r"\w+\((.*)\) -> .*", member[0])
    if found is None or "*args" in found[1]:
        return "overloaded"
    return [name for name in re.findall(r"(?:^|, )(\w+): ", found[1]) if name != "self"]


def copy(source: Path) -> dict[str, Any]:
    """The content of trt_api.json."""
    record = {path.stem: json.loads(path.read_text()) for path in sorted(source.glob("*.json"))}
    classes: dict[str, dict[str, Any]] = {}
    for name in CLASSES:
        members: dict[str, Any] = {}
        for version in record.values():
            members |= {key: item for key, item in version["classes"].get(name, {}).items() if wanted(key)}
        classes[name] = {
            member: ["".join(str(int(member in v["classes"].get(name, {}))) for v in record.values()), arguments(item)]
            for member, item in sorted(members.items())
        }
    return {"versions": list(record), "classes": classes}


def wanted(member: str) -> bool:
    kept = member in ("add_optimization_profile",)
    return kept or (not member.startswith("__") and re.search(SKIPPED, member) is None)


def to_text(value: dict[str, Any]) -> str:
    """JSON with a class a line: short, and a diff shows what changed."""
    lines = [f'  "{name}": {json.dumps(members)}' for name, members in value["classes"].items()]
    body = ",\n".join(lines)
    return f'{{"versions": {json.dumps(value["versions"])}, "classes": {{\n{body}\n}}}}\n'


if __name__ == "__main__":
    (Path(__file__).parent / "trt_api.json").write_text(to_text(copy(Path(sys.argv[1]))))
