"""What each layer of an engine really runs in, from the engine inspector's JSON.

The inspector tells the data type of each layer's inputs and outputs in words that differ by version ("Row major
linear FP32", "Channel major FP16 format ...", "Int8", "Half"); a layer computes in the type of its first input.
Layers that only move or convert data say nothing about precision and are left out.
"""

from __future__ import annotations

import json
import re
from types import ModuleType
from typing import Any

# word in a data type's description -> our name, in the order they are looked for (BFloat16 holds Float16)
TYPES = ((r"int8", "int8"), (r"bf16|bfloat16", "bf16"), (r"fp16|half|float16", "fp16"), (r"fp32|float", "fp32"))
KEYS = ("DataType", "Format/Datatype", "Format")  # TensorRT 11 has the first, older ones the second
MOVES = ("Reformat", "Shuffle", "Constant", "NoOp", "Cast", "Concat", "Copy", "Slice", "Signal", "Wait", "Gather")


def layers_of(trt: ModuleType, engine: Any) -> dict[str, str]:
    """Layer name -> fp32, fp16, bf16 or int8; empty where the engine was built without its layers' details."""
    inspector = engine.create_engine_inspector()
    return read_layers(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def read_layers(text: str) -> dict[str, str]:
    """The same from the inspector's JSON; empty where it is none: an engine is no worse for it."""
    try:
        value = json.loads(text, strict=False)  # names of nodes may have any characters
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    layers = [item for item in value.get("Layers", []) if isinstance(item, dict)]  # names alone without details
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
