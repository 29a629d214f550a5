"""Units of a placement: the nodes that change between int8 and float together.

Layers that share a weight are one unit, and so are layers that read the same int8 tensor: one Q/DQ pair serves them,
so that one of them alone in float would leave the error of the tensor in the others. A node without weights that reads
an int8 tensor (a residual sum, Concat, pooling) is a unit of its own. A first or last layer is no unit with a layer
inside the network that reads the same tensor, so that it can stay in float alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgepose.graph.lookup import Graph
from edgepose.quantize.placement import Placement

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Nodes that change together.

    Attributes:
        nodes: Their names, in graph order. The first one names the unit.
        kind: "depthwise", "layer" (any other with weights) or the operator of a node without weights.
    """

    nodes: tuple[str, ...]
    kind: str

    @property
    def name(self) -> str:
        """Name of the unit: its first node."""
        return self.nodes[0]


def units_of(graph: Graph, placement: Placement, ends: Collection[str] = ()) -> tuple[Unit, ...]:
    """Return the units of a placement in graph order.

    Args:
        graph: The prepared float graph.
        placement: The placement with most int8 layers.
        ends: Names of the first and last layers among them.
    """
    int8 = set(placement.quantized)
    by_key: dict[str, str] = {}  # shared weight or tensor -> the first layer with it
    first: dict[str, str] = {}  # layer -> an earlier one of its unit
    for node in graph.nodes:
        if node.name in int8:
            for key in (f"weight {node.input[1]}", f"tensor {node.input[0]} {node.name in ends}"):
                _join(first, node.name, by_key.setdefault(key, node.name))
    members: dict[str, list[str]] = {}
    readers = {name for readers in placement.reads.values() for name, _ in readers}
    for node in graph.nodes:
        if node.name in int8 or node.name in readers:
            members.setdefault(_root(first, node.name), []).append(node.name)
    by_name = {node.name: node for node in graph.nodes}
    return tuple(Unit(nodes=tuple(nodes), kind=_kind(graph, by_name[nodes[0]])) for nodes in members.values())


def _join(first: dict[str, str], one: str, other: str) -> None:
    a, b = _root(first, one), _root(first, other)
    if a != b:
        first[a] = b


def _root(first: dict[str, str], name: str) -> str:
    while name in first:
        name = first[name]
    return name


def _kind(graph: Graph, node: onnx.NodeProto) -> str:
    if not graph.is_weighted(node):
        return str(node.op_type)
    groups = next((item.i for item in node.attribute if item.name == "group"), 1)
    return "depthwise" if groups > 1 else "layer"


@dataclass(frozen=True, kw_only=True)
class Group:
    """Units that are measured together.

    Attributes:
        units: The units, neighbors of the same kind in graph order.
    """

    units: tuple[Unit, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of all nodes."""
        return tuple(name for unit in self.units for name in unit.nodes)

    def halves(self) -> tuple[Group, Group]:
        """Return the first and the second half of the units."""
        middle = len(self.units) // 2
        return Group(units=self.units[:middle]), Group(units=self.units[middle:])


def groups_of(units: Iterable[Unit], count: int) -> tuple[Group, ...]:
    """Collect units in about `count` groups of neighbors of the same kind, each unit alone where there are few.

    Residual sums, depthwise and other layers differ in what quantization does to them, so that a group of one kind has
    a meaning.
    """
    kinds: dict[str, list[Unit]] = {}
    for unit in units:
        kinds.setdefault(unit.kind, []).append(unit)
    total = sum(map(len, kinds.values()))
    size = max(1, -(-total // max(count - len(kinds), 1)))
    return tuple(
        Group(units=tuple(found[start : start + size]))
        for found in kinds.values()
        for start in range(0, len(found), size)
    )
