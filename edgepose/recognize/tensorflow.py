"""The image input of networks that come from TensorFlow, whose channels are last unless a converter moved them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose.recognize.candidate import Port

if TYPE_CHECKING:
    from edgepose.pose.geometry import Size


def image_size(port: Port) -> Size | None:
    """Return (height, width) of an image input, [N, H, W, 3] or [N, 3, H, W]; None for any other, or a free size.

    Args:
        port: The input.
    """
    if len(port.shape) != 4:
        return None
    sides = port.shape[1:3] if port.shape[3] == 3 else port.shape[2:] if port.shape[1] == 3 else ()
    lengths = [side for side in sides if isinstance(side, int)]
    return (lengths[0], lengths[1]) if len(lengths) == 2 else None
