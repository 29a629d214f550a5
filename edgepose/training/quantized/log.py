"""log.csv of a fine-tuning: one row for the start and one per epoch."""

from __future__ import annotations

import csv
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from edgepose._files import replacing


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of log.csv.

    Attributes:
        epoch: The number of completed epochs; 0 for the start.
        loss: Mean loss of the epoch; NaN for the start.
        error: Squared error of the outputs against the float network, relative to their variance, on validation people.
        seconds: Duration of the epoch.
    """

    epoch: int
    loss: float
    error: float
    seconds: float


def write_log(path: Path, rows: list[Row]) -> None:
    """Write log.csv."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([item.name for item in fields(Row)])
        writer.writerows([f"{value:.6g}" for value in astuple(row)] for row in rows)
