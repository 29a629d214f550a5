"""What an overflowed network gives: NaN or infinity where a joint was to be found."""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array
from edgepose.errors import ModelError


def overflowed(what: str) -> ModelError:
    """The error that names `what` the network gave."""
    return ModelError(
        f"the network overflowed: its {what} hold NaN or infinity; build fp16 with more layers in float or use fp32"
    )


def refuse_overflow(values: Array, what: str) -> None:
    """Raises `overflowed` unless all values (those that were decoded) are finite."""
    if not np.isfinite(values).all():
        raise overflowed(what)
