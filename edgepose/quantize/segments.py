"""Run a graph one segment after another on many inputs, so that a later segment can depend on what an earlier one gave.

The graph is cut behind some of its nodes. Each segment is a graph of its own, which reads the live tensors: those that
were computed before and are still needed. It runs once for each input. Between two segments the caller sees the output
of the node at the cut for all inputs, and may change it. Every node therefore runs once for each input, whatever the
number of cuts.

Only live tensors are kept. A DequantizeLinear belongs to every segment that reads it, so that what is kept of a
quantized tensor are its int8 values.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from edgepose._checks import Array
from edgepose._cores import side_by_side
from edgepose.graph.lookup import Graph, graph_of
from edgepose.graph.subgraphs import outer_names
from edgepose.graph.types import tensor_types
from edgepose.quantize.work import MakeRunner, Runner

if TYPE_CHECKING:
    import onnx

FLOAT = 1  # TensorProto.FLOAT


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of a graph that runs at once.

    Attributes:
        model: The part as a graph.
        end: The node at the cut, or None for what follows the last cut.
        tensor: The output of that node; empty without one.
        reads: The live tensors that it reads.
        makes: The tensors that it hands on.
        last: The tensors that no later segment reads.
    """

    model: onnx.ModelProto
    end: str | None
    tensor: str
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    last: tuple[str, ...]


@dataclass(kw_only=True)
class Walk:
    """One run of all segments over all inputs.

    Attributes:
        segments: The segments, in order.
        parts: The inputs of the network, as many at once as its batch axis asks for.
        make_runner: Makes what runs a segment.
        live: The live tensors by name, for each part.
        peak: The largest number of bytes that the live tensors had.
    """

    segments: Sequence[Segment]
    parts: Sequence[dict[str, Array]]
    make_runner: MakeRunner
    live: list[dict[str, Array]] = field(default_factory=list)
    peak: int = 0

    def __iter__(self) -> Iterator[tuple[str, list[Array]]]:
        """Run the segments and yield, at each cut, the node and its output for each part, which may be changed.

        Afterwards `live` holds the outputs of the graph.
        """
        self.live = [dict(part) for part in self.parts]
        for segment in self.segments:
            runner = self.make_runner(segment.model, segment.makes)
            side_by_side(partial(self._run, segment, runner), self.live)
            held = sum(value.nbytes for values in self.live for value in values.values())
            self.peak = max(self.peak, held)
            if segment.end is not None:
                yield segment.end, [values[segment.tensor] for values in self.live]

    def _run(self, segment: Segment, runner: Runner, values: dict[str, Array]) -> None:
        found = runner.run({name: values[name] for name in segment.reads}) if segment.makes else {}
        for name in segment.last:
            values.pop(name, None)
        values.update(found)


def cut(model: onnx.ModelProto, ends: Collection[str]) -> list[Segment]:
    """Cut a graph behind nodes.

    Args:
        model: A graph whose nodes have names.
        ends: Names of the nodes behind which it is cut.

    Returns:
        The segments, in order.
    """
    graph, types = graph_of(model), tensor_types(model)
    groups: list[list[onnx.NodeProto]] = [[]]
    for node in graph.nodes:
        if node.op_type == "DequantizeLinear" and node.output[0] not in graph.outputs:
            continue
        groups[-1].append(node)
        if node.name in ends:
            groups.append([])
    groups = [_with_dequantized(graph, group) for group in groups if group]
    reads = [_reads(graph, group) for group in groups]
    needed: set[str] = set(graph.outputs)
    segments: list[Segment] = []
    for group, names in zip(reversed(groups), reversed(reads), strict=True):
        end = group[-1] if group[-1].name in ends else None
        made = [name for node in group for name in node.output if name in needed or (node is end and name)]
        segments.append(
            Segment(
                model=_part(model, graph, group, names, made, types),
                end=end.name if end is not None else None,
                tensor=str(end.output[0]) if end is not None else "",
                reads=tuple(names),
                makes=tuple(made),
                last=tuple(name for name in names if name not in needed),
            )
        )
        needed |= set(names)
    return segments[::-1]


def _inputs(node: onnx.NodeProto) -> list[str]:
    return [name for name in (*node.input, *sorted(outer_names(node))) if name]


def _with_dequantized(graph: Graph, group: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Put the DequantizeLinear nodes that a group reads in front of their first readers."""
    made: list[onnx.NodeProto] = []
    done: set[str] = set()
    for node in group:
        for name in _inputs(node):
            maker = graph.producer.get(name)
            if maker is not None and maker.op_type == "DequantizeLinear" and name not in done:
                done.add(name)
                made.append(maker)
        done.update(node.output)
        made.append(node)
    return made


def _reads(graph: Graph, group: list[onnx.NodeProto]) -> list[str]:
    """The tensors from outside that a group reads, constants excluded."""
    own = {name for node in group for name in node.output}
    names = dict.fromkeys(name for node in group for name in _inputs(node))
    return [name for name in names if name not in own and name not in graph.constants]


def _part(
    model: onnx.ModelProto,
    graph: Graph,
    group: list[onnx.NodeProto],
    reads: Sequence[str],
    makes: Sequence[str],
    types: dict[str, int],
) -> onnx.ModelProto:
    from onnx import helper

    ports = {value.name: value for value in model.graph.input}
    made = type(model)()
    made.ir_version = model.ir_version
    made.opset_import.extend(model.opset_import)
    made.functions.extend(model.functions)
    made.graph.name = "segment"
    made.graph.node.extend(group)
    used = dict.fromkeys(name for node in group for name in _inputs(node) if name in graph.constants)
    made.graph.initializer.extend(graph.constants[name] for name in used)
    for name in reads:
        made.graph.input.append(ports.get(name) or helper.make_tensor_value_info(name, types.get(name, FLOAT), None))
    for name in makes:
        made.graph.output.append(helper.make_tensor_value_info(name, types.get(name, FLOAT), None))
    return made
