"""Match the inner tensors of two networks: by name, or by operator, shape and position where names differ."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Sequence

from edgepose._checks import Array
from edgepose.backends.inner import Inner, OnnxInner
from edgepose.errors import UsageError

Pairs = list[tuple[str, str]]


def matched(one: Inner, other: Inner, inputs: Array) -> tuple[Pairs, Inner]:
    """Pair the tensors of two networks in the order of computation.

    Args:
        one: The first network.
        other: The second network.
        inputs: Crops, on the first of which the shapes of tensors are measured where names differ.

    Returns:
        The pairs of names, and the network whose nodes and order they follow.

    Raises:
        UsageError: They have no tensor in common.
    """
    if not one.tensors and not other.tensors:
        return _common(one.outputs, set(other.outputs)), one
    if not one.tensors or not other.tensors:
        lead = one if one.tensors else other
        return _common(one.outputs, set(other.outputs)), lead
    lead = one if isinstance(one, OnnxInner) or not isinstance(other, OnnxInner) else other
    names = [tensor.name for tensor in lead.tensors]
    pairs = [(name, name) for name in names if name in _names(one) and name in _names(other)]
    # The names of outputs are those of the contract, so that they say nothing about the inner ones.
    inner = [pair for pair in pairs if pair[0] not in one.outputs]
    if len(inner) < min(len(_names(one)), len(_names(other))) / 4:
        pairs = _by_position(one, other, inputs) or pairs
        lead = one
    if not pairs:
        raise UsageError("the two networks have no tensor in common; compare two files of one network")
    return pairs, lead


def _common(names: Sequence[str], known: set[str]) -> Pairs:
    pairs = [(name, name) for name in names if name in known]
    if not pairs:
        raise UsageError("the two networks have no output in common; compare two files of one network")
    return pairs


def _names(inner: Inner) -> set[str]:
    return {tensor.name for tensor in inner.tensors}


def _by_position(one: Inner, other: Inner, inputs: Array) -> Pairs:
    """Align the sequences of shapes, and of operators where both are ONNX files."""
    ops = isinstance(one, OnnxInner) == isinstance(other, OnnxInner)
    mine, theirs = (_keys(inner, inputs[:1], ops) for inner in (one, other))
    blocks = difflib.SequenceMatcher(
        None, [key for _, key in mine], [key for _, key in theirs], autojunk=False
    ).get_matching_blocks()
    return [(mine[block.a + i][0], theirs[block.b + i][0]) for block in blocks for i in range(block.size)]


def _keys(inner: Inner, inputs: Array, ops: bool) -> list[tuple[str, Hashable]]:
    values = inner.run([tensor.name for tensor in inner.tensors], inputs)
    return [
        (tensor.name, (tensor.op if ops else "", values[tensor.name][0].shape))
        for tensor in inner.tensors
        if tensor.name in values
    ]
