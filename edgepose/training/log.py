"""The log of a run: one row of log.csv per epoch, and the same numbers as TensorBoard scalars.

log.csv has one row per epoch, even if a run was stopped and an epoch was finished twice. If tensorboard is not
installed, no scalars are written, and a warning says so once.
"""

from __future__ import annotations

import csv
import logging
from dataclasses import dataclass
from pathlib import Path

from edgepose._files import replacing
from edgepose._optional import available

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """The results of one epoch.

    Attributes:
        epoch: The number of the epoch, from 1.
        size: (height, width) of the crops in pixels.
        lr: The learning rate of the head at the last step.
        loss: The mean loss over the batches of the epoch. With several processes it covers the share of rank 0.
        score: The result on the validation data, 0 to 1; None without validation data.
        seconds: Duration of the epoch, or of its rest if the run was resumed in it.
        images_per_second: Training images per second over all processes.
        measure: What `score` is, and its column is called.
    """

    epoch: int
    size: tuple[int, int]
    lr: float
    loss: float
    score: float | None
    seconds: float
    images_per_second: float
    measure: str = "pck@0.2"

    def row(self) -> dict[str, str]:
        """Return the fields as text, keyed by the columns of log.csv."""
        return {
            "epoch": f"{self.epoch}",
            "height": f"{self.size[0]}",
            "width": f"{self.size[1]}",
            "lr": f"{self.lr:.2e}",
            "loss": f"{self.loss:.4e}",
            self.measure: "" if self.score is None else f"{self.score:.4f}",
            "seconds": f"{self.seconds:.0f}",
            "images_per_second": f"{self.images_per_second:.1f}",
        }


class RunLog:
    """Writes the log of a run.

    Args:
        out: The folder of the run.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.scalars = available("tensorboard")
        if not self.scalars:
            logger.warning(
                "tensorboard is not installed, so %s gets log.csv but no scalars; pip install tensorboard", out
            )

    def add(self, epoch: Epoch, step: int) -> None:
        """Write the results of an epoch.

        Args:
            epoch: The results.
            step: The number of steps so far, the x axis of the scalars.
        """
        self._add_row(epoch)
        if self.scalars:
            self._add_scalars(epoch, step)

    def _add_row(self, epoch: Epoch) -> None:
        path = self.out / "log.csv"
        rows = [row for row in read_rows(path) if int(row["epoch"]) < epoch.epoch]
        with replacing(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(epoch.row()))
            writer.writeheader()
            writer.writerows([*rows, epoch.row()])

    def _add_scalars(self, epoch: Epoch, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        row = epoch.row()
        with SummaryWriter(str(self.out / "tensorboard")) as board:
            for name in ("lr", "loss", epoch.measure, "images_per_second"):
                if row[name]:
                    board.add_scalar(name, float(row[name]), step)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of log.csv; an empty list if the file does not exist."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
