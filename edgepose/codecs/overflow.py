"""The error of a network that overflowed: NaN or infinity where a joint was to be found."""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array
from edgepose.errors import ModelError


def overflowed(what: str) -> ModelError:
    """Make the error of a network whose outputs are not finite.

    Args:
        what: The outputs, in words.
    """
    return ModelError(
        f"the network overflowed: its {what} hold NaN or infinity; build fp16 with more layers in float or use fp32"
    )


def refuse_overflow(values: Array, what: str) -> None:
    """Check that the values that were decoded are finite.

    Args:
        values: The values.
        what: The outputs that they come from, in words.

    Raises:
        ModelError: If a value is NaN or infinity.
    """
    if not np.isfinite(values).all():
        raise overflowed(what)
