"""Keep in float32 what ONNX Runtime cannot run in float16 although the definition of the operator allows it.

Many newer operators are defined by a function of others (`AffineGrid`), in which float16 may meet an operator without
it. Engines that expand the same function fail in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgepose.errors import ModelError
from edgepose.quantize.float16.view import View, is_standard, schema_of
from edgepose.quantize.float16.writer import cast_half
from edgepose.quantize.value_ranges import Sample, batches


def with_what_does_not_run(view: View, kept: Mapping[str, str], sample: Sample) -> dict[str, str]:
    """Return the nodes that stay in float32, with those that a function defines where the half graph does not run.

    Where the half graph does not run with these in float32 either, they are not the cause: nothing is added, because
    other engines may have the kernels that ONNX Runtime lacks.
    """
    functions = {
        node.name: f"{node.op_type} is defined by a function that does not run in float16"
        for node in view.graph.nodes
        if node.name not in kept and is_standard(node) and view.float_outputs(node) and _by_function(node.op_type, view)
    }
    every = {**kept, **functions}
    if not functions or _runs(view, kept, sample) or not _runs(view, every, sample):
        return dict(kept)
    kinds = {node.op_type for node in view.graph.nodes if node.name in functions}
    for kind in sorted(kinds):  # one at a time goes back to float16
        fewer = {name: why for name, why in every.items() if functions.get(name, "").split(" ")[0] != kind}
        if _runs(view, fewer, sample):
            every = fewer
    return every


def _by_function(op_type: str, view: View) -> bool:
    schema = schema_of(op_type, view.opset)
    return schema is not None and bool(schema.has_function or schema.has_context_dependent_function)


def _runs(view: View, kept: Mapping[str, str], sample: Sample) -> bool:
    try:
        runner = sample.make_runner(cast_half(view, kept), view.graph.outputs)
        runner.run(next(batches(runner, sample.inputs)))
    except ModelError:
        return False
    return True
