"""Read an image of a label file and compare its size with the one that the labels were made for."""

from __future__ import annotations

from pathlib import Path

from edgepose._checks import Array
from edgepose.errors import DataError
from edgepose.media.exif import exif_orientation
from edgepose.media.images import read_image
from edgepose.pose.geometry import Size


def read_sized(path: Path, size: Size | None) -> Array:
    """Read an image and check that it has the size its labels were made for.

    Args:
        path: The image file.
        size: The (height, width) of the labels; None if they do not say.

    Returns:
        The image, [H, W, 3] uint8 BGR.

    Raises:
        DataError: The image cannot be read or has another size. The message says what the likely reason is.
    """
    image = read_image(path)
    got = (int(image.shape[0]), int(image.shape[1]))
    if size is not None and got != size:
        raise DataError(f"image {path} is {_text(got)}, its labels are for {_text(size)}; {_reason(path, got, size)}")
    return image


def _text(size: Size) -> str:
    return f"{size[1]}x{size[0]}"


def _reason(path: Path, got: Size, size: Size) -> str:
    if got == size[::-1]:
        tag = exif_orientation(path)
        if tag >= 5:
            return (
                f"the image is turned by its EXIF tag; width and height are of the unturned image (orientation {tag}). "
                "If the joints are of the image as it is displayed, exchange width and height in the labels; if they "
                "are of the unturned image, remove the tag, e.g. exiftool -Orientation= FILE"
            )
        return "are width and height exchanged?"
    if abs(got[0] * size[1] - got[1] * size[0]) <= max(got[0], got[1], *size):
        return f"the image was resized by {got[0] / size[0]:.3g}; download the original image, or scale its labels"
    return "download the original image, or correct width and height"
