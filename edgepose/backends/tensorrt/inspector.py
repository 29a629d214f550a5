"""Read the precision that each layer of an engine runs in from the JSON of TensorRT's engine inspector.

The inspector describes the data type of each input and output of a layer in words that differ by version ("Row
major linear FP32", "Channel major FP16 format ...", "Int8", "Half"). A layer computes in the type of its first
input. Layers that only move or convert data are left out.
"""

from __future__ import annotations

import json
import re
from types import ModuleType
from typing import Any

# pattern in the description -> precision, searched in this order because "BFloat16" contains "Float16"
TYPES = (
    (r"int8", "int8"), (r"fp8|float8|e4m3", "fp8"), (r"bf16|bfloat16", "bf16"), (r"fp16|half|float16", "fp16"),
    (r"fp32|float", "fp32"),
)  # fmt: skip
KEYS = ("DataType", "Format/Datatype", "Format")  # TensorRT 11 uses the first, older versions the second
MOVES = ("Reformat", "Shuffle", "Constant", "NoOp", "Cast", "Concat", "Copy", "Slice", "Signal", "Wait", "Gather")


def layers_of(trt: ModuleType, engine: Any) -> dict[str, str]:
    """Return the precision of each layer: fp32, fp16, bf16, fp8 or int8.

    Args:
        trt: The imported library.
        engine: The library's engine.

    Returns:
        Precisions by layer name; empty if the engine was built without details about its layers.
    """
    inspector = engine.create_engine_inspector()
    return read_layers(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def read_layers(text: str) -> dict[str, str]:
    """Return the precision of each layer from the inspector's JSON.

    Args:
        text: Answer of the inspector. Text that is not JSON gives an empty result, because an engine without this
            information still works.
    """
    try:
        value = json.loads(text, strict=False)  # names of nodes may contain control characters
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    layers = [
        item for item in value.get("Layers", []) if isinstance(item, dict)
    ]  # without details there are only names
    found = {str(layer.get("Name", "")): _precision(layer) for layer in layers}
    return {name: precision for name, precision in found.items() if precision is not None}


def _precision(layer: dict[str, Any]) -> str | None:
    if any(word.lower() in str(layer.get("LayerType", "")).lower() for word in MOVES):
        return None
    for port in (*layer.get("Inputs", []), *layer.get("Outputs", [])):
        text = next((str(port[key]) for key in KEYS if key in port), "")
        for pattern, name in TYPES:
            if re.search(pattern, text, re.IGNORECASE):
                return name
    return None
