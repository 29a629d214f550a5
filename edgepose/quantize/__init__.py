"""ONNX to ONNX: `calibrate` finds quantization scales, `quantize` writes INT8 as explicit Q/DQ, `to_fp16` casts.

Quantization is a list of passes (`passes.py`); each declares the statistics (`statistics.py`) that it needs. No backend
is imported here: what runs the network during calibration is an argument.
"""

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.quantize.bias_correction import corrected
from edgepose.quantize.cache import calibration_cache
from edgepose.quantize.cast import CastOptions, to_fp16
from edgepose.quantize.fp8 import to_fp8
from edgepose.quantize.mixed import to_int8_fp16
from edgepose.quantize.observe import CalibrationFeed, calibrate
from edgepose.quantize.placement import Placement, place
from edgepose.quantize.value_ranges import Sample
from edgepose.quantize.verb import quantize

__all__ = [
    "CalibrationFeed",
    "CastOptions",
    "Placement",
    "QuantizeOptions",
    "Sample",
    "calibrate",
    "calibration_cache",
    "corrected",
    "place",
    "quantize",
    "to_fp8",
    "to_fp16",
    "to_int8_fp16",
]
