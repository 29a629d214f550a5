"""ONNX -> ONNX: calibrate (find ranges), quantise (INT8 as explicit Q/DQ), to_fp16. No backend in sight."""

from edgepose.quantize.cast import CastOptions, to_fp16
from edgepose.quantize.observe import CalibrationFeed, calibrate
from edgepose.quantize.placement import Placement, QuantizeOptions, place
from edgepose.quantize.prepare import prepare
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
    "prepare",
    "quantise",
    "to_fp16",
]
