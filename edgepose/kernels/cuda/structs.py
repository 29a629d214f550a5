"""The jobs of csrc/core/jobs.h as ctypes structures with the same fields, and `Launch`, which holds one job.

tests/kernels/cuda_host compares sizes and offsets with those of the compiler.
"""

from __future__ import annotations

import ctypes
from ctypes import c_float, c_int, c_int64, c_uint32, c_void_p
from dataclasses import dataclass

PIXELS = {"bgr": 0, "rgb": 0, "gray": 1, "nv12": 2}  # enum Pixels: RGB is BGR with other channels
LAYOUTS = {"chw": 0, "hwc": 1}  # enum Layout
FLOATS = {"float32": 0, "float16": 1}  # enum Float
FLOAT_NAMES = {"float32": "f32", "float16": "f16"}  # as in the names of kernels
GRID_LIMITS = (2**31 - 1, 65535, 65535)  # valid for every GPU since compute capability 3.0
TAPS_MAX = 21  # kTapsMax


class Frame(ctypes.Structure):
    """The C structure Frame: a frame in device memory."""

    _fields_ = (
        ("data", c_void_p),
        ("chroma", c_void_p),
        ("height", c_int),
        ("width", c_int),
        ("pitch", c_int64),
        ("chroma_pitch", c_int64),
    )


class Finish(ctypes.Structure):
    """The C structure Finish: the constants that turn a blended pixel into the network's input."""

    _fields_ = (
        ("color", c_float * 12),
        ("channel", c_int * 3),
        ("scale", c_float * 3),
        ("shift", c_float * 3),
        ("outside", c_uint32),
        ("border", c_int),
    )


class WarpJob(ctypes.Structure):
    """The C structure WarpJob: the arguments of warp_normalize."""

    _fields_ = (
        ("frame", Frame),
        ("pixels", c_int),
        ("finish", Finish),
        ("maps", c_void_p),
        ("count", c_int64),
        ("height", c_int64),
        ("width", c_int64),
        ("layout", c_int),
        ("type", c_int),
        ("out", c_void_p),
    )


class Blur(ctypes.Structure):
    """The C structure Blur: the Gaussian of DARK and UDP."""

    _fields_ = (("radius", c_int), ("taps", c_float * TAPS_MAX))


class PeakJob(ctypes.Structure):
    """The C structure PeakJob: the arguments of heatmap_peak."""

    _fields_ = (
        ("maps", c_void_p),
        ("flipped", c_void_p),
        ("flip_order", c_void_p),
        ("type", c_int),
        ("people", c_int64),
        ("joints", c_int64),
        ("height", c_int),
        ("width", c_int),
        ("refine", c_int),
        ("blur", Blur),
        ("affines", c_void_p),
        ("out", c_void_p),
    )


class SimccJob(ctypes.Structure):
    """The C structure SimccJob: the arguments of simcc_peak."""

    _fields_ = (
        ("x", c_void_p),
        ("y", c_void_p),
        ("type", c_int),
        ("people", c_int64),
        ("joints", c_int64),
        ("x_bins", c_int),
        ("y_bins", c_int),
        ("affines", c_void_p),
        ("out", c_void_p),
    )


class RegressJob(ctypes.Structure):
    """The C structure RegressJob: the arguments of regress_to_image."""

    _fields_ = (
        ("coords", c_void_p),
        ("type", c_int),
        ("people", c_int64),
        ("joints", c_int64),
        ("channels", c_int),
        ("affines", c_void_p),
        ("out", c_void_p),
    )


class PafPeaksJob(ctypes.Structure):
    """The C structure PafPeaksJob: the arguments of paf_peaks."""

    _fields_ = (
        ("maps", c_void_p),
        ("type", c_int),
        ("joints", c_int64),
        ("height", c_int),
        ("width", c_int),
        ("threshold", c_float),
        ("capacity", c_int),
        ("peaks", c_void_p),
        ("counts", c_void_p),
    )


class Limbs(ctypes.Structure):
    """The C structure Limbs: the size of the fields and how they are sampled."""

    _fields_ = (
        ("height", c_int),
        ("width", c_int),
        ("samples", c_int),
        ("needed", c_int),
        ("threshold", c_float),
    )


class PafScoreJob(ctypes.Structure):
    """The C structure PafScoreJob: the arguments of paf_score."""

    _fields_ = (
        ("fields", c_void_p),
        ("type", c_int),
        ("count", c_int64),
        ("limbs", Limbs),
        ("peaks", c_void_p),
        ("counts", c_void_p),
        ("capacity", c_int),
        ("pairs", c_void_p),
        ("out", c_void_p),
    )


class OnestageJob(ctypes.Structure):
    """The C structure OnestageJob: the arguments of onestage_people."""

    _fields_ = (
        ("rows", c_void_p),
        ("type", c_int),
        ("images", c_int64),
        ("candidates", c_int),
        ("columns", c_int),
        ("score_threshold", c_float),
        ("iou_threshold", c_float),
        ("affines", c_void_p),
        ("limit", c_int),
        ("out", c_void_p),
    )


# The type of job that each kernel of the fatbin takes.
KERNELS: dict[str, type[ctypes.Structure]] = {
    f"warp_normalize_{pixels}_{kind}_{layout}": WarpJob
    for pixels in ("bgr", "gray", "nv12")
    for kind in FLOAT_NAMES.values()
    for layout in LAYOUTS
} | {
    f"{operation}_{kind}": job
    for operation, job in (
        ("heatmap_peak", PeakJob),
        ("simcc_peak", SimccJob),
        ("regress_to_image", RegressJob),
        ("paf_peaks", PafPeaksJob),
        ("paf_score", PafScoreJob),
        ("onestage_people", OnestageJob),
    )
    for kind in FLOAT_NAMES.values()
}


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A kernel of the fatbin with its arguments, ready for any stream.

    The memory that the job refers to must stay allocated until the stream has run the launch.

    Attributes:
        name: The name of the kernel.
        grid: (x, y, z), blocks.
        block: (x, y, z), threads.
        args: The only parameter of the kernel, a job, as bytes. The address of these bytes is the only entry of
            cuLaunchKernel's `kernelParams`.
        shared_bytes: The size of dynamic shared memory.

    Raises:
        ValueError: A side of the grid is 0 or too large.
    """

    name: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    args: bytes
    shared_bytes: int = 0

    def __post_init__(self) -> None:
        if not all(0 < size <= limit for size, limit in zip(self.grid, GRID_LIMITS, strict=True)):
            raise ValueError(f"{self.name}: expected 1 to {GRID_LIMITS} blocks, got {self.grid}; nothing to compute?")
