"""The constants of `warp_normalize`: colors of NV12, borders, channel orders."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.artifacts.spec import InputSpec
from edgepose.errors import UsageError
from edgepose.kernels import WarpOptions
from edgepose.kernels.options import PIXELS, YUV, finish, yuv_to_rgb

RGB = InputSpec()
BGR = InputSpec(color="bgr")
# ITU-R BT.601 and BT.709: luma weights of red, green, blue
WEIGHTS = {"bt601": (0.299, 0.587, 0.114), "bt709": (0.2126, 0.7152, 0.0722)}


def to_yuv(rgb, name):
    """What an encoder makes of levels 0..255, from the standards' own direction: luma, then scaled differences."""
    red, green, blue = WEIGHTS[name.removesuffix("-full")]
    r, g, b = rgb / 255
    luma = red * r + green * g + blue * b
    u, v = (b - luma) / (2 * (1 - blue)), (r - luma) / (2 * (1 - red))
    full = name.endswith("-full")
    low, span, chroma = (0, 255, 255) if full else (16, 219, 224)
    return np.array([low + span * luma, 128 + chroma * u, 128 + chroma * v])


@pytest.mark.parametrize("name", YUV)
def test_colors_come_back(name):
    rng = np.random.default_rng(1)
    for rgb in [*rng.uniform(0, 255, (50, 3)), np.zeros(3), np.full(3, 255.0), *(np.eye(3) * 255)]:
        assert np.allclose(yuv_to_rgb(name) @ [*to_yuv(rgb, name), 1], rgb, atol=1e-9)


def test_nv12_has_the_networks_channel_order():
    options = WarpOptions(pixels="nv12", yuv="bt709")
    rgb, bgr = (np.array(finish(spec, options).color).reshape(3, 4) for spec in (RGB, BGR))
    assert np.array_equal(rgb, yuv_to_rgb("bt709"))
    assert np.array_equal(bgr, rgb[::-1])
    assert finish(RGB, options).channel == (0, 1, 2)


def test_channels_are_swapped_where_the_network_wants_the_other_order():
    found = {(p, spec.color): finish(spec, WarpOptions(pixels=p)).channel for p in PIXELS for spec in (RGB, BGR)}
    assert found["bgr", "bgr"] == found["rgb", "rgb"] == (0, 1, 2)
    assert found["bgr", "rgb"] == found["rgb", "bgr"] == (2, 1, 0)
    assert found["gray", "rgb"] == (0, 0, 0)
    assert not any(finish(RGB, WarpOptions()).color)


def test_levels_are_normalized_by_one_multiplication():
    constants = finish(RGB, WarpOptions())
    for level in (0.0, 114.0, 255.0):
        expected = (level - np.array(RGB.mean)) / RGB.std
        assert np.allclose(level * np.array(constants.scale) + constants.shift, expected, atol=1e-12)


def test_the_level_outside_is_gray_in_the_frames_own_terms():
    assert finish(RGB, WarpOptions(border_level=114)).outside == 114 | 114 << 8 | 114 << 16
    for yuv in YUV:
        for level in (0, 114, 255):
            outside = finish(RGB, WarpOptions(pixels="nv12", yuv=yuv, border_level=level)).outside
            stored = [outside >> bit & 255 for bit in (0, 8, 16)]
            assert np.allclose(yuv_to_rgb(yuv) @ [*stored, 1], level, atol=0.6)  # to a level of luma
    assert finish(RGB, WarpOptions(border="replicate")).replicate


def test_options_that_mean_nothing_are_refused():
    cases = [
        ({"pixels": "bgra"}, "WarpOptions.pixels = 'bgra'; did you mean 'bgr'"),
        ({"yuv": "bt2020"}, "WarpOptions.yuv = 'bt2020'"),
        ({"border": "reflect"}, "WarpOptions.border = 'reflect'"),
        ({"layout": "nhwc"}, "WarpOptions.layout = 'nhwc'; did you mean 'hwc'"),
        ({"dtype": "float64"}, "WarpOptions.dtype = 'float64'"),
        ({"border_level": -1}, "border_level = -1; expected 0..255"),
        ({"border_level": 256}, "border_level = 256; expected 0..255"),
        ({"threads": -1}, "threads = -1; expected 0 or more"),
    ]
    for options, message in cases:
        with pytest.raises(UsageError, match=message):
            WarpOptions(**options)
