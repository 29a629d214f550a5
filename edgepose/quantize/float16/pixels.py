"""Outputs in pixels: float16 has steps of a quarter of a pixel from 256 on, and of half a pixel from 512 on.

Networks that decode boxes and joints to pixels of their input end in arithmetic on a few numbers for each cell. It
stays in float32, back to the last layers with weights.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgepose.graph.lookup import SHAPES
from edgepose.quantize.float16.view import View

LARGEST = 256.0  # beyond it a step of float16 is a quarter of a pixel and more


def pixel_outputs(view: View) -> Iterator[tuple[str, str]]:
    """Yield the nodes without weights in front of an output that is larger than `LARGEST`, with the reason."""
    for output in view.graph.outputs:
        largest = view.ranges.get(output, 0.0)
        if output not in view.floats or largest <= LARGEST:
            continue
        reason = f"output {output!r} reaches {largest:.3g}, where float16 has steps of {_step(largest):g}"
        waiting, seen = [output], set[str]()
        while waiting:
            node = view.graph.producer.get(waiting.pop())
            if node is None or node.output[0] in seen or node.op_type in SHAPES or view.graph.is_weighted(node):
                continue
            seen.add(node.output[0])
            if view.float_outputs(node):
                yield node.name, reason
            waiting.extend(name for name in node.input if name in view.floats)


def _step(value: float) -> float:
    """Return the distance of neighboring float16 numbers at a value."""
    return float(np.spacing(np.float16(min(value, 65504.0))))
