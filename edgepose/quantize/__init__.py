"""ONNX -> ONNX: calibrate (find ranges), quantize (INT8 as explicit Q/DQ), to_fp16, to_int8_fp16. No backend here."""

from edgepose.quantize.cache import calibration_cache
from edgepose.quantize.cast import CastOptions, to_fp16
from edgepose.quantize.mixed import to_int8_fp16
from edgepose.quantize.observe import CalibrationFeed, calibrate
from edgepose.quantize.placement import Placement, QuantizeOptions, place
from edgepose.quantize.qdq import quantize
from edgepose.quantize.ranges import CalibrationOptions

__all__ = [
    "CalibrationFeed",
    "CalibrationOptions",
    "CastOptions",
    "Placement",
    "QuantizeOptions",
    "calibrate",
    "calibration_cache",
    "place",
    "quantize",
    "to_fp16",
    "to_int8_fp16",
]
