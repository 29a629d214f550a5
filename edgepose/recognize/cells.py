"""Heads on several grids: the strides that a number of rows belongs to, and the rows that a network gives for noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgepose.graph.adapters.detectors import grid_of
from edgepose.recognize.candidate import Candidate
from edgepose.recognize.detector import only_output
from edgepose.recognize.ports import Image, output_shapes, outputs_of_noise

if TYPE_CHECKING:
    from edgepose._checks import Array
    from edgepose.pose.geometry import Size

Strides = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The only output of a network, [N, A, columns], whose rows are the cells of several grids.

    Attributes:
        image: The input of the network.
        size: Its (height, width) in pixels.
        output: The name of the output.
        columns: The length of a row.
        strides: The stride of each grid in pixels.
        anchors: The number of rows for each cell.
    """

    image: Image
    size: Size
    output: str
    columns: int
    strides: Strides
    anchors: int

    @property
    def grid(self) -> Array:
        """The cells, [A / anchors, 3] float32, as `grid_of` returns them."""
        return grid_of(self.size, self.strides)

    def of_noise(self, candidate: Candidate) -> Array | None:
        """Run the network on one image of noise.

        Args:
            candidate: The network.

        Returns:
            The rows, [A, columns]; None where the network does not run or gives another shape.
        """
        values = next(iter(outputs_of_noise(candidate, self.image, self.size).values()), None)
        shape = (self.anchors * len(self.grid), self.columns)
        return values[0] if values is not None and values.shape[1:] == shape else None


def cells_of(candidate: Candidate, choices: Sequence[Strides], anchors: int = 1) -> Cells | None:
    """Find the strides of the grids by the number of rows.

    Args:
        candidate: The network.
        choices: The strides that the grids may have.
        anchors: The number of rows for each cell.

    Returns:
        The output; None where the network has another number of rows, several outputs, or no image of one size.
    """
    ports = only_output(candidate)
    if ports is None:
        return None
    image, size, port = ports
    (shape,) = output_shapes(candidate, image, size).values() or ((),)
    if len(shape) != 3:
        return None
    strides = next((item for item in choices if shape[1] == anchors * len(grid_of(size, item))), None)
    if strides is None:
        return None
    return Cells(image=image, size=size, output=port.name, columns=shape[2], strides=strides, anchors=anchors)
