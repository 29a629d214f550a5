"""The words that a contract chooses from. The command line's help lists some, so nothing is imported here."""

from __future__ import annotations

# How a quantization range is chosen from observed activations, see `quantize.ranges`.
CALIBRATIONS = ("minmax", "percentile", "mse")

COLORS = ("rgb", "bgr")
LAYOUTS = ("nchw", "nhwc")
DTYPES = ("float32", "float16", "uint8")
BORDERS = ("constant", "replicate")
