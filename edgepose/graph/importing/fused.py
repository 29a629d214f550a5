"""Take apart the nodes into which ONNX Runtime fuses a convolution or a product with what follows it.

A file that ONNX Runtime saved after its own optimization holds FusedConv, FusedGemm and FusedMatMul. No other backend
knows them, and quantization would find no convolution. Each becomes the standard nodes that it was fused from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepose.graph.importing.inline import Inliner
from edgepose.graph.importing.step import ImportPass, listed
from edgepose.graph.lookup import copied, replace_nodes
from edgepose.graph.types import tensor_types

if TYPE_CHECKING:
    import onnx

DOMAIN = "com.microsoft"
# activation -> the attributes of its node, in the order of the parameters of the fused node
ACTIVATIONS: Mapping[str, tuple[str, ...]] = {
    "Relu": (), "Sigmoid": (), "Tanh": (), "LeakyRelu": ("alpha",), "HardSigmoid": ("alpha", "beta"),
    "Clip": ("min", "max"),
}  # fmt: skip
# the onnx.TensorProto type of a tensor -> its numpy type
FLOATS: Mapping[int, type[np.floating[Any]]] = {1: np.float32, 10: np.float16, 11: np.float64}
OWN = ("activation", "activation_params", "activation_alpha", "activation_beta", "activation_gamma")


def split_fused(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return a copy in which standard nodes stand for FusedConv, FusedGemm and FusedMatMul.

    A node with an activation or an attribute that is not known here stays as it is.
    """
    if not any(node.domain == DOMAIN for node in model.graph.node):
        return model, ()
    made, types = copied(model), tensor_types(model)
    inliner = Inliner(made)
    nodes: list[onnx.NodeProto] = []
    split: list[str] = []
    for node in model.graph.node:
        parts = _parts(node, inliner, types) if node.domain == DOMAIN else None
        nodes += [node] if parts is None else parts
        split += [] if parts is None else [node.name or node.output[0]]
    if not split:
        return model, ()
    replace_nodes(made, nodes)
    return made, tuple(split)


def _parts(node: onnx.NodeProto, inliner: Inliner, types: Mapping[str, int]) -> list[onnx.NodeProto] | None:
    from onnx import helper

    given: dict[str, Any] = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    dtype = FLOATS.get(types.get(node.input[0], 0), np.float32)
    if node.op_type == "FusedMatMul":
        return _product(node, given, inliner, dtype)
    if node.op_type not in ("FusedConv", "FusedGemm"):
        return None
    activation = given.get("activation", b"").decode()
    if activation not in ("", *ACTIVATIONS):
        return None
    plain = {name: value for name, value in given.items() if name not in OWN}
    steps = [(node.op_type.removeprefix("Fused"), list(node.input[:3]), plain)]
    if len(node.input) > 3 and node.input[3]:  # FusedConv adds its fourth input before the activation
        steps.append(("Add", ["", node.input[3]], {}))
    if activation:
        steps.append(_activation(activation, given, inliner, dtype))
    return _chain(node, steps, inliner)


def _activation(
    name: str, given: Mapping[str, Any], inliner: Inliner, dtype: type[np.floating[Any]]
) -> tuple[str, list[str], dict[str, Any]]:
    by_name = [given[key] for key in OWN[2:] if key in given]
    values = dict(zip(ACTIVATIONS[name], given.get("activation_params", by_name), strict=False))
    if name != "Clip":
        return name, [""], values
    bounds = [inliner.constant(_tensor(dtype(values[key])), f"clip_{key}") for key in ("min", "max")]
    return name, ["", *bounds], {}


def _product(
    node: onnx.NodeProto, given: Mapping[str, Any], inliner: Inliner, dtype: type[np.floating[Any]]
) -> list[onnx.NodeProto] | None:
    """Return MatMul and Mul for a FusedMatMul that transposes nothing; None for another."""
    if any(given.get(name, 0) for name in ("transA", "transB", "transBatchA", "transBatchB")):
        return None
    factor = inliner.constant(_tensor(dtype(given.get("alpha", 1.0))), f"{node.output[0]}__alpha")
    return _chain(node, [("MatMul", list(node.input), {}), ("Mul", ["", factor], {})], inliner)


def _chain(
    node: onnx.NodeProto, steps: Sequence[tuple[str, list[str], dict[str, Any]]], inliner: Inliner
) -> list[onnx.NodeProto]:
    """Return one node after the other; an empty first input is the result of the node before."""
    from onnx import helper

    made: list[onnx.NodeProto] = []
    for index, (kind, inputs, attributes) in enumerate(steps):
        last = index == len(steps) - 1
        output = node.output[0] if last else inliner.new_name(f"{node.output[0]}__{kind.lower()}")
        reads = [made[-1].output[0], *inputs[1:]] if made else inputs
        name = node.name if index == 0 else f"{node.name}__{kind.lower()}"
        made.append(helper.make_node(kind, reads, [output], name, **attributes))
    return made


def _tensor(value: np.floating[Any]) -> onnx.TensorProto:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.asarray(value))


FUSED = ImportPass(
    name="fused",
    run=split_fused,
    describe=lambda names: f"nodes that ONNX Runtime had fused were taken apart: {listed(names)}",
)
