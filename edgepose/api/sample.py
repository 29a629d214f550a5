"""A few inputs of a network, for the checks of what a graph or an engine computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec

if TYPE_CHECKING:
    from edgepose.datasets.samples import PoseData

COUNT = 8  # people of a sample
SEED = 13  # of the rendered figures


def sample_inputs(spec: ModelSpec, calib: str | None = None, count: int = COUNT) -> Array:
    """Return the crops of a few people: calibration images where there are any, else rendered figures.

    Args:
        spec: The contract of the network.
        calib: The calibration data KIND:PATH[:SPLIT], or None for rendered figures.
        count: The largest number of people.

    Returns:
        The inputs in the layout and dtype of the contract, [N, *spec.input.shape]; N is at most `count`.

    Raises:
        DataError: The calibration data cannot be read, or it has no people.
    """
    import numpy as np

    from edgepose.datasets.feeds import CalibrationFeed

    feed = CalibrationFeed(_people(calib, count), spec, batch=count, limit=count)
    return np.concatenate([crops for crops, _ in feed])


def _people(calib: str | None, count: int) -> PoseData:
    from edgepose.datasets.open import open_data
    from edgepose.datasets.synthetic import SyntheticPeople

    return SyntheticPeople(count, SEED) if calib is None else open_data(calib)
