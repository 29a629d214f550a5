"""A complete quantization pass in one file, for tests: it multiplies the output of the network by one."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.quantize.work import Work


class MultiplyByOne:
    """A toy pass: it multiplies the output by one, which it computes from the statistics that it asked for."""

    name: ClassVar[str] = "toy"
    needs: ClassVar[tuple[str, ...]] = ("channel_mean", "image_max")

    def applies(self, options: QuantizeOptions) -> bool:
        return True

    def run(self, work: Work) -> Work:
        found = next(iter(work.scales.tensors.values())).statistics
        model = onnx.ModelProto()
        model.CopyFrom(work.model)
        output = model.graph.output[0].name
        for node in model.graph.node:
            node.output[:] = ["toy" if name == output else name for name in node.output]
        scale = numpy_helper.from_array(
            np.float32(1 + 0 * found["image_max"] + 0 * found["channel_mean"][0]), "toy_scale"
        )
        model.graph.initializer.append(scale)
        model.graph.node.append(helper.make_node("Mul", ["toy", "toy_scale"], [output], "toy_mul"))
        return replace(work, model=model)
