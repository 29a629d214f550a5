"""Small random outputs and what the projects decode from them, for tests that run without the projects.

They are numbers that the projects computed, and hold nothing of their code or weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from projects.comparison import peaks
from projects.torchvision_nms import stand_in

CANVAS, FRAME = (64, 64), (90, 134, 3)
CELLS, JOINTS, KEPT = 84, 17, 12


def write(folder: Path) -> None:
    """Write ultralytics-raw.npz and mmpose-heatmaps.npz.

    Args:
        folder: Where they are written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _ultralytics(folder / "ultralytics-raw.npz")
    _mmpose(folder / "mmpose-heatmaps.npz")


def _ultralytics(path: Path) -> None:
    """The raw output of a pose network of one class, and the best people of Ultralytics' predict mode in a frame."""
    stand_in()
    import torch
    from ultralytics.utils import nms, ops

    random = np.random.default_rng(11)
    parts = ((8, 56, 2), (6, 40, 2), (0, 1, 1), (-4, 68, 3 * JOINTS))
    output = np.concatenate([random.uniform(low, high, (rows, CELLS)) for low, high, rows in parts])
    output[7::3] = random.uniform(0, 1, (JOINTS, CELLS))
    output = output.astype(np.float16)
    rows = torch.from_numpy(output.astype(np.float32)[None])
    (found,) = nms.non_max_suppression(rows, 0.25, 0.7, max_det=300, nc=1)
    joints = ops.scale_coords(CANVAS, found[:, 6:].reshape(-1, JOINTS, 3).clone(), FRAME).numpy()
    np.savez_compressed(
        path,
        output=output,
        people=len(found),
        boxes=ops.scale_boxes(CANVAS, found[:, :4].clone(), FRAME).numpy()[:KEPT],
        scores=found[:KEPT, 4].numpy(),
        joints=joints[:KEPT],
    )


def _mmpose(path: Path) -> None:
    """Heatmaps of a crop of 128 x 96, and what three decoders of mmpose find in them, in pixels of the crop."""
    from mmpose.codecs import MSRAHeatmap, UDPHeatmap

    maps = peaks((32, 24), 5, np.random.default_rng(2)).astype(np.float16)
    size = {"input_size": (96, 128), "heatmap_size": (24, 32), "sigma": 2.0}
    decoders = {"udp": UDPHeatmap(**size), "dark": MSRAHeatmap(**size, unbiased=True), "quarter": MSRAHeatmap(**size)}
    found = {name: one.decode(maps.astype(np.float32))[0][0].astype(np.float32) for name, one in decoders.items()}
    np.savez_compressed(path, maps=maps, **found)
