"""Kinds of images: rotated, deep, gray, printed (CMYK), animated, HEIC and AVIF; each right or refused."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest

from edgepose import _optional
from edgepose.errors import DataError
from edgepose.media import heif
from edgepose.media.canvas import size_of
from edgepose.media.images import read_image
from edgepose.media.sources import open_source

pil = pytest.importorskip("PIL.Image")
HEIGHT, WIDTH = 48, 80


def picture():
    """Four quarters of different color, [48, 80, 3] BGR."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:24, :40], image[:24, 40:], image[24:, :40], image[24:, 40:] = (
        (200, 40, 40),
        (40, 200, 40),
        (40, 40, 200),
        230,
    )
    return image


def saved(kind, image=None, **options):
    made = pil.fromarray(np.ascontiguousarray(picture()[..., ::-1])) if image is None else image
    file = io.BytesIO()
    made.save(file, kind, **options)
    return file.getvalue()


def turned(image, orientation):
    """What a viewer shows of a picture with this EXIF orientation."""
    if orientation in (2, 4, 5, 7):
        image = image[:, ::-1]
    return np.rot90(image, {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}[orientation])


def exif(orientation):
    tags = pil.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def close(found, expected, within=6.0):
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected.astype(int)).mean() < within


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_pictures_are_turned_as_the_file_says(tmp_path, kind, orientation):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    path = tmp_path / f"x.{kind.lower()}"
    path.write_bytes(saved(kind, exif=exif(orientation), quality=95))
    close(read_image(path), turned(picture(), orientation))
    assert kind == "PNG" or size_of(path) == read_image(path).shape[:2]


DEEP = picture().astype(np.uint16) * 257
CLEAR = np.dstack([picture(), np.full((HEIGHT, WIDTH), 128, np.uint8)])
GRAY = cv2.cvtColor(picture(), cv2.COLOR_BGR2GRAY)
GRAY_BGR = np.repeat(GRAY[..., None], 3, axis=2)
RGB = pil.fromarray(np.ascontiguousarray(picture()[..., ::-1]))
MORE = {"save_all": True, "append_images": [pil.new("RGB", (WIDTH, HEIGHT))]}


def coded(suffix, image):
    return cv2.imencode(suffix, image)[1].tobytes()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("deep.png", coded(".png", DEEP), picture()),
        ("deep.tif", coded(".tif", DEEP), picture()),
        ("clear.png", coded(".png", CLEAR), picture()),
        ("gray.jpg", coded(".jpg", GRAY), GRAY_BGR),
        ("deep-gray.png", coded(".png", GRAY.astype(np.uint16) * 257), GRAY_BGR),
        ("print.jpg", saved("JPEG", RGB.convert("CMYK"), quality=95), picture()),
        ("palette.png", saved("PNG", RGB.quantize(16)), picture()),
        ("animated.webp", saved("WEBP", duration=90, lossless=True, **MORE), picture()),
        ("pages.tif", saved("TIFF", **MORE), picture()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_kinds_of_pixels(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    close(read_image(tmp_path / name), expected)


def test_an_animation_is_a_video(tmp_path):
    later = pil.fromarray(picture()[:, ::-1, ::-1].copy())
    (tmp_path / "x.gif").write_bytes(saved("GIF", save_all=True, append_images=[later], duration=100))
    with open_source(str(tmp_path / "x.gif")) as source:
        assert len(list(source)) == 2


def test_floats_are_refused(tmp_path, capfd):
    (tmp_path / "x.tif").write_bytes(coded(".tif", picture().astype(np.float32)))
    capfd.readouterr()
    with pytest.raises(DataError, match="no image OpenCV can decode; convert it"):
        read_image(tmp_path / "x.tif")
    assert capfd.readouterr().err == ""  # nothing of OpenCV's own


def test_a_grid_of_tiles_is_one_photograph(cases):
    """As an iPhone stores it: FFmpeg gives the first tile."""
    pytest.importorskip("pillow_heif")
    (frame,) = open_source(str(cases / "images" / "iphone_grid.heic"))
    close(frame.image, cv2.imread(str(cases / "images" / "grid_reference.jpg")))
    assert size_of(cases / "images" / "iphone_grid.heic") == (512, 512)


@pytest.mark.parametrize("name", ["x.heic", "x.jpg", "x.mp4", "x"])
def test_heic_is_known_by_its_content(cases, tmp_path, name):
    pytest.importorskip("pillow_heif")
    (tmp_path / name).write_bytes((cases / "images" / "iphone_grid.heic").read_bytes())
    (frame,) = open_source(str(tmp_path / name))
    assert frame.image.shape == (512, 512, 3)


def test_without_the_package_heic_is_refused(cases, monkeypatch):
    real = _optional.importlib.import_module

    def missing(name, *more):
        if name == "pillow_heif":
            raise ModuleNotFoundError("No module named 'pillow_heif'", name="pillow_heif")
        return real(name, *more)

    monkeypatch.setattr(_optional.importlib, "import_module", missing)
    with pytest.raises(DataError, match=r"HEIC picture; convert it to JPEG, or install .*edgepose\[heif\]"):
        read_image(cases / "images" / "iphone_grid.heic")


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.99])
def test_cut_heic_and_avif_are_refused(cases, tmp_path, share):
    pytest.importorskip("pillow_heif")
    for raw in ((cases / "images" / "iphone_grid.heic").read_bytes(), saved("AVIF")):
        (tmp_path / "x.heic").write_bytes(raw[: int(share * len(raw))])
        with pytest.raises(DataError, match=r"x\.heic"):
            read_image(tmp_path / "x.heic")


def test_brands():
    def head(*brands):
        return (8 + 4 * (len(brands) + 1)).to_bytes(4, "big") + b"ftyp" + brands[0] + b"\0\0\0\0" + b"".join(brands[1:])

    assert heif.format_of(head(b"heic", b"mif1")) == heif.format_of(head(b"mif1", b"heic")) == "HEIC"
    assert heif.format_of(head(b"avif", b"mif1", b"miaf")) == heif.format_of(head(b"mif1", b"avif")) == "AVIF"
    assert heif.format_of(head(b"isom", b"iso2", b"mp41")) is None
    assert heif.format_of(head(b"mp42", b"mif1")) is None
    assert heif.format_of(b"") is None


@pytest.mark.parametrize("name", ["x", "x.bin", "x.JPG.part"])
def test_a_photograph_of_another_suffix_is_no_video(tmp_path, name):
    """Read as a video, it would not be turned."""
    (tmp_path / name).write_bytes(saved("JPEG", exif=exif(6), quality=95))
    (frame,) = open_source(str(tmp_path / name))
    close(frame.image, turned(picture(), 6))


def test_camera_raw_is_refused(tmp_path):
    (tmp_path / "x.dng").write_bytes(saved("TIFF"))
    with pytest.raises(DataError, match="camera raw file; convert it to JPEG"):
        open_source(str(tmp_path / "x.dng"))
