"""Windows of convolutions and pooling: kernel, strides, dilations and padding from the attributes of a node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from edgepose.training.quantized.operators.call import Call


@dataclass(frozen=True, kw_only=True)
class Window:
    """How a kernel moves over an image, one number per spatial axis.

    Attributes:
        kernel: Size of the kernel.
        strides: Distance between two places of the kernel.
        dilations: Distance between two taps of the kernel.
        begins: Padding before the first pixel.
        ends: Padding behind the last pixel.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]

    def padded(self, values: Tensor, fill: float = 0.0) -> Tensor:
        """Return the values with the padding around them."""
        if not any((*self.begins, *self.ends)):
            return values
        sides = [side for pair in zip(self.begins[::-1], self.ends[::-1], strict=True) for side in pair]
        return functional.pad(values, sides, value=fill)


def window_of(call: Call, kernel: Sequence[int], spatial: Sequence[int]) -> Window:
    """Return the window of a node.

    Args:
        call: The node.
        kernel: Size of the kernel.
        spatial: Size of the image.
    """
    axes = len(kernel)
    strides = tuple(call.get("strides", [1] * axes))
    dilations = tuple(call.get("dilations", [1] * axes))
    rule = call.text("auto_pad", "NOTSET")
    pads = [0] * (2 * axes) if rule == "VALID" else list(call.get("pads", [0] * (2 * axes)))
    begins, ends = pads[:axes], pads[axes:]
    if rule.startswith("SAME"):
        for axis, size in enumerate(spatial):
            reach = (kernel[axis] - 1) * dilations[axis] + 1
            total = max((-(-size // strides[axis]) - 1) * strides[axis] + reach - size, 0)
            less, more = total // 2, total - total // 2
            begins[axis], ends[axis] = (less, more) if rule == "SAME_UPPER" else (more, less)
    return Window(kernel=tuple(kernel), strides=strides, dilations=dilations, begins=tuple(begins), ends=tuple(ends))
