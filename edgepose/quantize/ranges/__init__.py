"""Methods that turn observed activations into one symmetric int8 quantization scale.

    auto         Of the methods below, the one whose range changes the outputs of the layers that read the tensor
                 least, chosen for each tensor. The default.
    minmax       The largest absolute value: nothing is clipped.
    image_max    The mean over the images of the largest absolute value in each.
    percentile   The value that `percentile` percent of all absolute values stay under: outliers are clipped.
    mse          The threshold with the smallest squared error of rounding and clipping together.
    entropy      The threshold that keeps most of the information of the histogram, as in TensorRT.

To add a method, write its `Estimator` in a file of this folder, and add it to `ESTIMATORS` and its name to
`artifacts.quantization.METHODS`. `auto` then chooses among one more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import TensorRange
from edgepose.quantize.ranges.auto import auto
from edgepose.quantize.ranges.entropy import ENTROPY
from edgepose.quantize.ranges.estimator import STEPS, Estimator
from edgepose.quantize.ranges.image_max import IMAGE_MAX
from edgepose.quantize.ranges.minmax import MINMAX
from edgepose.quantize.ranges.mse import MSE
from edgepose.quantize.ranges.output_error import Readers
from edgepose.quantize.ranges.percentile import PERCENTILE
from edgepose.quantize.statistics import Observed
from edgepose.quantize.work import MakeRunner

if TYPE_CHECKING:
    import onnx

__all__ = ["AUTO", "ESTIMATORS", "STEPS", "Estimator", "choose", "choose_all", "needs", "parameters"]

AUTO = "auto"
ESTIMATORS: dict[str, Estimator] = {item.name: item for item in (MINMAX, IMAGE_MAX, PERCENTILE, MSE, ENTROPY)}


def _asked(method: str) -> tuple[Estimator, ...]:
    return tuple(ESTIMATORS.values()) if method == AUTO else (ESTIMATORS[method],)


def needs(method: str) -> tuple[str, ...]:
    """Return the names of the statistics that a method needs."""
    return tuple(dict.fromkeys(("range", *(name for item in _asked(method) for name in item.needs))))


def parameters(method: str) -> tuple[str, ...]:
    """Return the names of the options that a method reads."""
    return tuple(name for item in _asked(method) for name in item.parameters)


def choose(seen: Observed, method: str, options: QuantizeOptions) -> TensorRange:
    """Return a tensor's range with the scale that a method other than "auto" gives it; 0 where it is always 0."""
    threshold = ESTIMATORS[method].threshold(seen, options) if seen["range"].magnitude > 0 else 0.0
    return _range(seen, method, threshold)


def choose_all(
    model: onnx.ModelProto,
    observed: Mapping[str, Observed],
    readers: Readers,
    options: QuantizeOptions,
    inputs: Array,
    make_runner: MakeRunner,
) -> dict[str, TensorRange]:
    """Return the range of every observed tensor by the method of the options.

    Args:
        model: The prepared float graph.
        observed: Tensor -> its statistics.
        readers: The readers of each tensor's quantizer, as in `Placement.reads`; only "auto" reads them.
        options: The options that apply.
        inputs: A few inputs of the network [N, ...], on which "auto" compares the methods.
        make_runner: Makes what runs a graph.
    """
    if options.method != AUTO:
        return {name: choose(seen, options.method, options) for name, seen in observed.items()}
    alive = {name: seen for name, seen in observed.items() if seen["range"].magnitude > 0}
    chosen = auto(ESTIMATORS, model, alive, readers, options, inputs, make_runner) if alive else {}
    return {name: _range(seen, *chosen.get(name, (MINMAX.name, 0.0))) for name, seen in observed.items()}


def _range(seen: Observed, method: str, threshold: float) -> TensorRange:
    extent = seen["range"]
    statistics = {name: value for name, value in seen.to_json().items() if name != "range"}
    scale = float(np.float32(threshold / STEPS))
    return TensorRange(min=extent.low, max=extent.high, scale=scale, method=method, statistics=statistics)
