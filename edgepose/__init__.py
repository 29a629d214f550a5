"""edgepose: human-pose networks on edge devices, and what INT8 costs them.

    import edgepose

    pose = edgepose.load("lite")     # a zoo name, an ONNX file, or an engine folder
    people = pose("photo.jpg")       # a file, a BGR array, or several of them
    for frame in pose.stream("video.mp4"):
        print(frame.name, frame.poses)

The names below are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from edgepose.api.benchmark import benchmark
    from edgepose.api.build import build
    from edgepose.api.calibrate import calibrate
    from edgepose.api.check import check
    from edgepose.api.diagnose import diagnose
    from edgepose.api.evaluate import evaluate
    from edgepose.api.export import export_onnx
    from edgepose.api.following import StreamOptions
    from edgepose.api.inspect import inspect
    from edgepose.api.load import PoseModel, load
    from edgepose.api.quantize import quantize_onnx
    from edgepose.api.request import BuildOptions
    from edgepose.api.run import RunOptions, run
    from edgepose.api.train import train
    from edgepose.artifacts.spec import ModelSpec
    from edgepose.errors import EdgeposeError
    from edgepose.media.draw import draw_poses
    from edgepose.pose.poses import Poses
    from edgepose.pose.skeletons import Skeleton
    from edgepose.runtime.smoothing import SmoothingOptions, smooth
    from edgepose.runtime.tracking import Tracker, TrackingOptions

_MODULES = {
    "BuildOptions": "edgepose.api.request",
    "EdgeposeError": "edgepose.errors",
    "ModelSpec": "edgepose.artifacts.spec",
    "PoseModel": "edgepose.api.load",
    "Poses": "edgepose.pose.poses",
    "RunOptions": "edgepose.api.run",
    "Skeleton": "edgepose.pose.skeletons",
    "SmoothingOptions": "edgepose.runtime.smoothing",
    "StreamOptions": "edgepose.api.following",
    "Tracker": "edgepose.runtime.tracking",
    "TrackingOptions": "edgepose.runtime.tracking",
    "benchmark": "edgepose.api.benchmark",
    "build": "edgepose.api.build",
    "calibrate": "edgepose.api.calibrate",
    "check": "edgepose.api.check",
    "diagnose": "edgepose.api.diagnose",
    "draw_poses": "edgepose.media.draw",
    "evaluate": "edgepose.api.evaluate",
    "export_onnx": "edgepose.api.export",
    "inspect": "edgepose.api.inspect",
    "load": "edgepose.api.load",
    "quantize_onnx": "edgepose.api.quantize",
    "run": "edgepose.api.run",
    "smooth": "edgepose.runtime.smoothing",
    "train": "edgepose.api.train",
}

__all__ = [
    "BuildOptions",
    "EdgeposeError",
    "ModelSpec",
    "PoseModel",
    "Poses",
    "RunOptions",
    "Skeleton",
    "SmoothingOptions",
    "StreamOptions",
    "Tracker",
    "TrackingOptions",
    "__version__",
    "benchmark",
    "build",
    "calibrate",
    "check",
    "diagnose",
    "draw_poses",
    "evaluate",
    "export_onnx",
    "inspect",
    "load",
    "quantize_onnx",
    "run",
    "smooth",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'edgepose' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
