"""Refuse graphs that draw random numbers: no two runs of them agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgepose.errors import ModelError
from edgepose.graph.lookup import graph_of
from edgepose.graph.subgraphs import all_nodes

if TYPE_CHECKING:
    import onnx

RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")


def refuse_random(model: onnx.ModelProto) -> None:
    """Raise ModelError for a node that draws random numbers, a Dropout in training mode included."""
    from onnx import numpy_helper

    constants = graph_of(model).constants
    for node in all_nodes(model.graph):
        standard = node.domain in ("", "ai.onnx")
        mode = node.input[2] if node.op_type == "Dropout" and len(node.input) > 2 else ""
        trains = mode in constants and bool(np.any(numpy_helper.to_array(constants[mode])))
        if standard and (node.op_type in RANDOM or trains):
            raise ModelError(
                f"node {node.name or node.output[0]!r} ({node.op_type}) draws random numbers; export the network in "
                "evaluation mode"
            )
