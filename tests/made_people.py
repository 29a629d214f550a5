"""Labeled people made by hand, in the layout of LSP."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepose.datasets.samples import Sample


def person(
    xy: Any, size: tuple[int, int] = (60, 80), box: tuple[float, ...] = (10, 10, 50, 50), **changes: Any
) -> Sample:
    """The first joints at `xy` in a picture of `size`; `changes` are fields of the Sample."""
    labeled = np.zeros(14, bool)
    labeled[: len(xy)] = True
    return Sample(**{
        "image_id": 4, "name": "4.jpg", "read": lambda: np.zeros((*size, 3), np.uint8),
        "xy_image": np.pad(np.array(xy, np.float32).reshape(-1, 2), ((0, 14 - len(xy)), (0, 0))),
        "labeled": labeled, "occluded": np.zeros(14, bool), "box_xyxy": np.array(box, np.float32),
        "area": 1600.0, **changes,
    })  # fmt: skip
