"""What a run tells of each epoch: a line of log.csv, and the same numbers as TensorBoard scalars.

log.csv holds one line an epoch, also when a run is killed and an epoch is finished twice. Where tensorboard
is not installed the scalars are left out, and the log says so once.
"""

from __future__ import annotations

import csv
import logging
from dataclasses import dataclass
from pathlib import Path

from edgepose._files import replacing
from edgepose._optional import available

logger = logging.getLogger(__name__)

COLUMNS = ("epoch", "height", "width", "lr", "loss", "pck@0.2", "seconds", "images_per_second")


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One finished epoch, counted from 1.

    lr: of the head at the last step. loss: the mean over the epoch's batches; with several processes over
    rank 0's share of them. pck: None without validation. seconds, images_per_second: since the epoch
    began or was resumed, over all processes.
    """

    epoch: int
    size: tuple[int, int]
    lr: float
    loss: float
    pck: float | None
    seconds: float
    images_per_second: float

    def row(self) -> dict[str, str]:
        values = (
            f"{self.epoch}",
            f"{self.size[0]}",
            f"{self.size[1]}",
            f"{self.lr:.2e}",
            f"{self.loss:.4e}",
            "" if self.pck is None else f"{self.pck:.4f}",
            f"{self.seconds:.0f}",
            f"{self.images_per_second:.1f}",
        )
        return dict(zip(COLUMNS, values, strict=True))


class RunLog:
    """Writes the epochs of the run in the folder `out`."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.scalars = available("tensorboard")
        if not self.scalars:
            logger.warning(
                "tensorboard is not installed: %s gets no scalars, only log.csv; pip install tensorboard", out
            )

    def add(self, epoch: Epoch, step: int) -> None:
        """`step`: the steps done so far, the x axis of the scalars."""
        self._add_row(epoch)
        if self.scalars:
            self._add_scalars(epoch, step)

    def _add_row(self, epoch: Epoch) -> None:
        path = self.out / "log.csv"
        rows = [row for row in read_rows(path) if int(row["epoch"]) < epoch.epoch]
        with replacing(path) as beside, beside.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows([*rows, epoch.row()])

    def _add_scalars(self, epoch: Epoch, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        row = epoch.row()
        with SummaryWriter(str(self.out / "tensorboard")) as board:
            for name in ("lr", "loss", "pck@0.2", "images_per_second"):
                if row[name]:
                    board.add_scalar(name, float(row[name]), step)


def read_rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
