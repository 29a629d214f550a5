"""A stand-in for torchvision, of which Ultralytics takes the suppression of boxes alone.

torchvision from PyPI does not load beside a CPU build of torch. Its `nms` is greedy suppression; here Ultralytics' own
`TorchNMS` computes it, which it uses itself where torchvision was not imported.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types
from typing import Any

LIBRARIES: list[Any] = []  # an operator lives as long as the library that defines it


def stand_in() -> None:
    """Provide `torchvision.ops.nms` where torchvision is installed, as Ultralytics asks for it, but does not load."""
    import torch

    if sys.modules.get("torchvision", "") is None:
        del sys.modules["torchvision"]
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
    else:
        return
    _register()
    package, ops = types.ModuleType("torchvision"), types.ModuleType("torchvision.ops")
    ops.nms = torch.ops.torchvision.nms  # type: ignore[attr-defined]
    package.ops = ops  # type: ignore[attr-defined]
    package.__spec__ = importlib.machinery.ModuleSpec("torchvision", None)
    sys.modules |= {"torchvision": package, "torchvision.ops": ops}


def hide() -> None:
    """Let packages that use torchvision where it is installed work without it."""
    if "torchvision" not in sys.modules:
        sys.modules["torchvision"] = None  # type: ignore[assignment]


def _register() -> None:
    """Define the operator, and what it is in an ONNX graph."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", nms, "CPU")
    LIBRARIES.append(library)
    torch.onnx.register_custom_op_symbolic("torchvision::nms", _symbolic, 11)


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Return the indices of the boxes that stay, the highest score first, as `torchvision.ops.nms` does.

    Args:
        boxes: [N, 4] tensor, x0 y0 x1 y1.
        scores: [N] tensor.
        iou_threshold: The largest intersection over union of two boxes that both stay.
    """
    from ultralytics.utils.nms import TorchNMS

    return TorchNMS.nms(boxes, scores, iou_threshold)


def _symbolic(graph: Any, boxes: Any, scores: Any, iou_threshold: Any) -> Any:
    import torch

    def constant(value: Any, dtype: torch.dtype) -> Any:
        return graph.op("Constant", value_t=torch.tensor(value, dtype=dtype))

    axes, both = constant([0], torch.int64), constant([0, 1], torch.int64)
    limit = constant([2**31 - 1], torch.int64)
    overlap = graph.op("Cast", graph.op("Unsqueeze", iou_threshold, axes), to_i=1)
    rows, values = graph.op("Unsqueeze", boxes, axes), graph.op("Unsqueeze", scores, both)
    found = graph.op("NonMaxSuppression", rows, values, limit, overlap)
    return graph.op("Gather", found, constant(2, torch.int64), axis_i=1)
