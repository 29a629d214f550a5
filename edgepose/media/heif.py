"""Decode HEIC and AVIF pictures, which OpenCV does not read, or without the rotation that the file asks for.

A phone stores such a picture as a grid of tiles, which FFmpeg (and OpenCV's video reader with it) takes for several
pictures, so that the first tile would pass for the photograph. libheif and libavif put the tiles together and apply
the rotation and the mirroring.
"""

from __future__ import annotations

import io

import numpy as np

from edgepose._checks import Array
from edgepose._optional import optional, remedy
from edgepose.errors import DataError, MissingPackage, one_line

SUFFIXES = (".avif", ".heic", ".heif", ".hif")
_HEIC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2"))
_AVIF = frozenset((b"avif", b"avis"))
# What the decoders raise on a damaged file; pillow-heif raises IndexError where no picture is whole.
_DAMAGED = (OSError, ValueError, IndexError, RuntimeError, EOFError, SyntaxError, MemoryError)


def format_of(head: bytes) -> str | None:
    """Return "HEIC" or "AVIF" when a file that begins so is such a picture, else None.

    Args:
        head: The beginning of the file, 32 bytes or more.
    """
    if head[4:8] != b"ftyp":
        return None
    end = min(len(head), max(16, int.from_bytes(head[:4], "big")))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]
    if _AVIF.intersection(brands):
        return "AVIF"
    return "HEIC" if brands[0] in _HEIC or _HEIC.intersection(brands) - {b"mif1", b"msf1", b"mif2"} else None


def decode(data: bytes, name: str) -> Array:
    """Decode a HEIC or AVIF picture: all tiles, rotated and mirrored as the file says.

    Args:
        data: The content of the file.
        name: The file in error messages.

    Returns:
        The picture, [H, W, 3] uint8 BGR.

    Raises:
        DataError: The file is damaged, or the package that decodes it is not installed.
    """
    kind = format_of(data[:256])
    try:
        picture = _avif(data) if kind == "AVIF" else _heic(data)
    except MissingPackage as error:
        raise DataError(
            f"{name} is a {kind} picture; convert it to JPEG, or install what reads it: {remedy('pillow_heif')}"
        ) from error
    except _DAMAGED as error:
        raise DataError(
            f"{name} is a {kind} picture that cannot be decoded ({one_line(error)}); fetch it again or convert it"
        ) from error
    return np.ascontiguousarray(np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture[..., :3])


def _heic(data: bytes) -> Array:
    package = optional("pillow_heif")
    opened = package.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True, bgr_mode=True)
    return np.asarray(opened)


def _avif(data: bytes) -> Array:
    """Decode by Pillow, which has a decoder of AVIF since 11.3; the one of pillow-heif is left out of its wheels."""
    image, operations = optional("PIL.Image", "heif"), optional("PIL.ImageOps", "heif")
    try:
        with image.open(io.BytesIO(data), formats=("AVIF",)) as picture:
            turned = operations.exif_transpose(picture)  # the plug-in gives rotation and mirroring as EXIF
            return np.asarray(turned.convert("RGB"))[..., ::-1]
    except image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
