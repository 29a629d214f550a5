"""Replace each call of a local function by the nodes of the function."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgepose.errors import ModelError, one_line
from edgepose.graph.importing.step import ImportPass, listed
from edgepose.graph.lookup import default_opset
from edgepose.graph.subgraphs import all_nodes, bodies

if TYPE_CHECKING:
    import onnx

Key = tuple[str, str, str]  # domain, name, overload


def inline_functions(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return a copy without local functions.

    Raises:
        ModelError: A function calls itself, or the functions cannot be inlined.
    """
    if not model.functions:
        return model, ()
    from onnx import inliner, shape_inference

    _refuse_recursion(model)
    properties = [(item.key, item.value) for item in model.metadata_props]
    opsets = {entry.version for item in model.functions for entry in item.opset_import if not _domain(entry.domain)}
    convert = bool(opsets - {default_opset(model)})
    try:
        # the conversion of a function to another opset needs to know the types
        made = inliner.inline_local_functions(shape_inference.infer_shapes(model) if convert else model, convert)
    except (RuntimeError, ValueError, shape_inference.InferenceError) as error:
        raise ModelError(f"the local functions cannot be inlined ({one_line(error)}); export without them") from error
    del made.functions[:], made.metadata_props[:]
    for key, value in properties:
        made.metadata_props.add(key=key, value=value)
    return made, tuple(dict.fromkeys(item.name for item in model.functions))


def _refuse_recursion(model: onnx.ModelProto) -> None:
    """ModelError when a function calls itself, directly or through others; the inliner would never end."""
    functions = {_key(item): item for item in model.functions}
    calls = {key: {_call(node) for node in _nodes(item)} & functions.keys() for key, item in functions.items()}
    while calls:
        ends = [key for key, called in calls.items() if not called & calls.keys()]
        if not ends:
            names = tuple(name for _, name, _ in calls)
            raise ModelError(f"the local functions {listed(names)} call themselves; export the network again")
        for key in ends:
            del calls[key]


def _nodes(function: onnx.FunctionProto) -> Iterator[onnx.NodeProto]:
    for node in function.node:
        yield node
        for body in bodies(node):
            yield from all_nodes(body)


def _key(function: onnx.FunctionProto) -> Key:
    return _domain(function.domain), function.name, str(getattr(function, "overload", ""))


def _call(node: onnx.NodeProto) -> Key:
    return _domain(node.domain), node.op_type, str(getattr(node, "overload", ""))


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


FUNCTIONS = ImportPass(
    name="functions",
    run=inline_functions,
    describe=lambda names: f"local functions were replaced by their nodes: {listed(names)}",
)
