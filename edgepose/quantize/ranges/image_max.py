"""Mean of per-image maxima: the range of a typical image, so that a few extreme images do not stretch it."""

from __future__ import annotations

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.quantize.ranges.estimator import Estimator
from edgepose.quantize.statistics import Observed


def image_max(seen: Observed, options: QuantizeOptions) -> float:
    """Return the mean over the images of the largest absolute value in each image."""
    return float(seen["image_max"].mean)


IMAGE_MAX = Estimator(name="image_max", threshold=image_max, needs=("image_max",))
