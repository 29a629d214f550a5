"""Replace each Loop with a constant number of rounds by that many copies of its body."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgepose.graph.importing.inline import Inliner
from edgepose.graph.importing.step import ImportPass, listed
from edgepose.graph.lookup import copied, drop_unused_constants, replace_nodes
from edgepose.graph.subgraphs import all_nodes

if TYPE_CHECKING:
    import onnx

MOST_NODES = 2000  # that the copies of one body may have together

Constants = dict[str, "onnx.TensorProto"]


def unroll_loops(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return a copy in which the rounds of each Loop with a constant number of rounds stand one behind another."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    made = copied(model)
    inliner = Inliner(made)
    nodes: list[onnx.NodeProto] = []
    unrolled: list[str] = []
    for node in model.graph.node:
        rounds = _rounds(node, constants)
        if rounds is None:
            nodes.append(node)
        else:
            nodes += _unrolled(inliner, node, rounds)
            unrolled.append(node.name or node.output[0])
    if not unrolled:
        return model, ()
    replace_nodes(made, nodes)
    drop_unused_constants(made)
    return made, tuple(unrolled)


def _body(node: onnx.NodeProto) -> onnx.GraphProto:
    bodies: dict[str, onnx.GraphProto] = {item.name: item.g for item in node.attribute}
    return bodies["body"]


def _rounds(node: onnx.NodeProto, constants: Constants) -> int | None:
    """Return the number of rounds of a Loop if it is constant and small, else None."""
    from onnx import numpy_helper

    if node.op_type != "Loop" or node.domain not in ("", "ai.onnx") or node.input[0] not in constants:
        return None
    begins = node.input[1]
    if begins and (begins not in constants or not numpy_helper.to_array(constants[begins]).all()):
        return None
    body = _body(node)
    rounds = int(numpy_helper.to_array(constants[node.input[0]]).item())
    if rounds < 1 or rounds * sum(1 for _ in all_nodes(body)) > MOST_NODES or not _goes_on(body, constants):
        return None
    return rounds


def _goes_on(body: onnx.GraphProto, constants: Constants) -> bool:
    """Whether the condition that a body returns is always that it goes on."""
    from onnx import numpy_helper

    name = body.output[0].name
    makers = {output: node for node in body.node for output in node.output}
    while name in makers and makers[name].op_type in ("Identity", "Cast"):
        name = makers[name].input[0]
    if len(body.input) > 1 and name == body.input[1].name:
        return True
    known = constants | {tensor.name: tensor for tensor in body.initializer}
    for item in makers[name].attribute if name in makers and makers[name].op_type == "Constant" else ():
        known[name] = item.t
    return name in known and bool(numpy_helper.to_array(known[name]).all())


def _unrolled(inliner: Inliner, node: onnx.NodeProto, rounds: int) -> list[onnx.NodeProto]:
    from onnx import helper, numpy_helper

    body, label = _body(node), node.name or node.output[0]
    carried = list(node.input[2:])
    inner = [value.name for value in body.input]
    goes_on = inliner.constant(numpy_helper.from_array(np.array(True)), f"{label}__goes_on")
    axis = inliner.constant(numpy_helper.from_array(np.array([0], np.int64)), f"{label}__axis")
    results: list[list[str]] = [[] for _ in body.output[1 + len(carried) :]]  # of each round
    finals = list(node.output) + [""] * (len(body.output) - 1 - len(node.output))
    nodes: list[onnx.NodeProto] = []
    for index in range(rounds):
        number = inliner.constant(numpy_helper.from_array(np.array(index, np.int64)), f"{label}__{index}")
        last = index == rounds - 1
        outputs = [
            finals[position] if last and finals[position] else inliner.new_name(f"{label}__{index}__{position}")
            for position in range(len(carried))
        ]
        collected = [inliner.new_name(f"{label}__{index}__scan_{position}") for position in range(len(results))]
        inputs = dict(zip(inner, [number, goes_on, *carried], strict=False))
        nodes += inliner.body(body, inputs, ["", *outputs, *collected], f"{label}__{index}")
        carried = outputs
        for position, name in enumerate(collected):
            stacked = inliner.new_name(f"{name}__stacked")
            nodes.append(helper.make_node("Unsqueeze", [name, axis], [stacked], f"{stacked}__node"))
            results[position].append(stacked)
    for names, name in zip(results, finals[len(carried) :], strict=True):
        if name:
            nodes.append(helper.make_node("Concat", names, [name], f"{label}__{name}__joined", axis=0))
    return nodes


LOOPS = ImportPass(
    name="loops",
    run=unroll_loops,
    describe=lambda names: f"a Loop with a constant number of rounds was unrolled: {listed(names)}",
)
