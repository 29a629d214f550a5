"""`auto`: choose among all methods, for each tensor, the range that changes the outputs of its readers least."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.quantize.ranges.estimator import Estimator
from edgepose.quantize.ranges.output_error import Readers, output_errors
from edgepose.quantize.statistics import Observed
from edgepose.quantize.work import MakeRunner

if TYPE_CHECKING:
    import onnx


def auto(
    estimators: Mapping[str, Estimator],
    model: onnx.ModelProto,
    observed: Mapping[str, Observed],
    readers: Readers,
    options: QuantizeOptions,
    inputs: Array,
    make_runner: MakeRunner,
) -> dict[str, tuple[str, float]]:
    """Choose a threshold for each tensor by the output error that it causes on a few inputs.

    Args:
        estimators: The methods to choose among.
        model: The prepared float graph.
        observed: Tensor -> its statistics; no tensor is always zero.
        readers: The readers of each tensor's quantizer, as in `Placement.reads`.
        options: The options of the methods.
        inputs: A few inputs of the network [N, ...].
        make_runner: Makes what runs a graph.

    Returns:
        Tensor -> the name of the method and its threshold.
    """
    names = list(estimators)
    thresholds = {
        tensor: np.array([item.threshold(seen, options) for item in estimators.values()])
        for tensor, seen in observed.items()
    }
    errors = output_errors(model, readers, thresholds, inputs, make_runner)
    best = {tensor: int(np.argmin(values)) for tensor, values in errors.items()}
    return {tensor: (names[index], float(thresholds[tensor][index])) for tensor, index in best.items()}
