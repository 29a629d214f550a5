"""ONNX -> ONNX: calibrate (find ranges), quantise (INT8 as explicit Q/DQ), to_fp16. No backend in sight."""

from edgepose.quantize.cast import CastOptions, to_fp16
from edgepose.quantize.observe import CalibrationFeed, calibrate
from edgepose.quantize.placement import Placement, QuantizeOptions, place
from edgepose.quantize.qdq import quantise
from edgepose.quantize.ranges import CalibrationOptions

__all__ = [
    "CalibrationFeed",
    "CalibrationOptions",
    "CastOptions",
    "Placement",
    "QuantizeOptions",
    "calibrate",
    "place",
    "quantise",
    "to_fp16",
]
