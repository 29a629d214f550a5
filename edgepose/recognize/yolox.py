"""YOLOX (Ge et al., 2021) as its own exporter writes it: [N, A, 5 + classes] on grids of stride 8, 16 and 32.

The boxes are offsets in cells and logarithmic sizes, or, exported with `--decode_in_inference`, pixels. The shapes are
the same, so the network is run once: decoded centers follow the grid.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array
from edgepose.errors import SpecError
from edgepose.graph.adapters.detectors import yolox_decoded, yolox_raw
from edgepose.recognize.candidate import SHAPES, Candidate, Recognized
from edgepose.recognize.cells import cells_of
from edgepose.recognize.classes import classes_of
from edgepose.recognize.detector import (
    BGR_0_255,
    COCO_PERSON,
    TOP_LEFT,
    crop_guess,
    detector_contract,
    person_guess,
    pixel_guesses,
    stem_of,
)

SCORE, IOU = 0.3, 0.45  # of the demo of YOLOX for ONNX Runtime
STRIDES = ((8, 16, 32), (8, 16, 32, 64))
FEWEST = 6  # columns: a box, its score and one class
FOLLOWS, DEPARTS = 0.9, 0.5  # correlation of decoded centers with their cells, and of offsets


class YoloxFamily:
    """YOLOX."""

    name = "yolox"
    usual_size = (640, 640)

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Return the contract of a YOLOX network, see `Family.recognize`."""
        cells = cells_of(candidate, STRIDES)
        if cells is None or cells.columns < FEWEST:
            return None
        rows = cells.of_noise(candidate)
        if rows is None or not _are_scores(rows[:, 4:]):
            return None
        people = classes_of(candidate, COCO_PERSON, count=cells.columns - 5)
        if decoded_inside(rows, cells.grid, str(candidate.path)):
            model = yolox_decoded(candidate.model, cells.output, people)
        else:
            model = yolox_raw(candidate.model, cells.output, cells.grid, people)
        spec = detector_contract(
            stem_of(candidate, "yolox"), cells.image, cells.size, model,
            pixels=BGR_0_255, crop=TOP_LEFT, score_threshold=SCORE, iou_threshold=IOU,
        )  # fmt: skip
        guesses = (
            *pixel_guesses(BGR_0_255, "those of YOLOX since version 0.2; earlier ones used RGB and ImageNet's"),
            crop_guess(TOP_LEFT, "YOLOX places the image so"),
            *person_guess(candidate, COCO_PERSON, "the first class of COCO"),
        )
        return Recognized(family=self.name, source=SHAPES, model=model, spec=spec, guesses=guesses)

    def near(self, candidate: Candidate) -> str | None:
        """Say why an output of as many rows as YOLOX has cells is not taken, see `registry.Explaining.near`."""
        cells = cells_of(candidate, STRIDES)
        if cells is None or cells.columns < FEWEST or (cells.columns - 5) % 3 == 0:  # may be box, score and joints
            return None
        return f"the scores in columns 4 to {cells.columns - 1} of its output are not all between 0 and 1"


def _are_scores(values: Array) -> bool:
    return bool(np.isfinite(values).all() and (values >= 0).all() and (values <= 1).all())


def decoded_inside(rows: Array, grid: Array, where: str) -> bool:
    """Tell whether boxes are in pixels of the input, or offsets in cells.

    Args:
        rows: The output for one image, [A, 5 + classes].
        grid: The cells, [A, 3] from `grid_of`.
        where: The network that the error names.

    Raises:
        SpecError: They are neither.
    """
    cells = grid[:, :2] * grid[:, 2:]
    follows = [_correlation(rows[:, axis], cells[:, axis]) for axis in (0, 1)]
    if min(follows) > FOLLOWS and (rows[:, 2:4] >= 0).all():
        return True
    if max(follows) < DEPARTS:
        return False
    raise SpecError(
        f"{where} has the shape of YOLOX, but its boxes are neither pixels nor offsets in cells (correlation with the "
        f"cells {follows[0]:.2f} in x and {follows[1]:.2f} in y); export it again with YOLOX's own exporter"
    )


def _correlation(values: Array, cells: Array) -> float:
    """Return Pearson's correlation; 0 for constant values."""
    spread = float(np.std(values)) * float(np.std(cells))
    return float(np.mean((values - np.mean(values)) * (cells - np.mean(cells)))) / spread if spread > 0 else 0.0


FAMILY = YoloxFamily()
