"""Options of `warp_normalize` (how a frame is stored, how crops are returned), and the constants that follow from them.

The host extension, the CUDA kernels and the numpy definition all use these constants.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import InputSpec, ModelSpec
from edgepose.errors import UsageError, nearest

if TYPE_CHECKING:
    from edgepose.kernels import _native

PIXELS = ("bgr", "rgb", "gray", "nv12")
BORDERS = ("constant", "replicate")
LAYOUTS = ("chw", "hwc")
DTYPES = ("float32", "float16", "uint8")
# name -> (weight of red, weight of blue in luma, whether levels span 0..255 instead of 16..235 and 16..240)
YUV = {
    "bt601": (0.299, 0.114, False),
    "bt601-full": (0.299, 0.114, True),
    "bt709": (0.2126, 0.0722, False),
    "bt709-full": (0.2126, 0.0722, True),
}


@dataclass(frozen=True, kw_only=True)
class WarpOptions:
    """How a frame is stored, and how a crop of it leaves `warp_normalize`.

    Attributes:
        pixels: How the frame is stored: "bgr" and "rgb" are [H, W, 3]; "gray" is [H, W]; "nv12" is a luma plane
            [H, W] and a plane [H / 2, W] of U, V pairs, which cameras and decoders of a Jetson give.
        yuv: What NV12 levels mean: "bt601" or "bt709" (HD video), each also "-full" (JPEG, some cameras).
        border: What lies outside the frame: "constant" (`border_level` in every channel) or "replicate".
        border_level: The level outside the frame, 0..255.
        layout: The layout of crops, "chw" or "hwc".
        dtype: The type of crops: "float32", "float16", or "uint8", which is rounded.
        threads: The highest number of threads that share the crops' rows; 0 is one per core. A single crop is too
            little work to share.
    """

    pixels: str = "bgr"
    yuv: str = "bt601"
    border: str = "constant"
    border_level: int = 0
    layout: str = "chw"
    dtype: str = "float32"
    threads: int = 1

    def __post_init__(self) -> None:
        for name, choices in (
            ("pixels", PIXELS),
            ("yuv", tuple(YUV)),
            ("border", BORDERS),
            ("layout", LAYOUTS),
            ("dtype", DTYPES),
        ):
            if getattr(self, name) not in choices:
                raise UsageError(f"WarpOptions.{name} = {getattr(self, name)!r}{nearest(getattr(self, name), choices)}")
        if not 0 <= self.border_level <= 255:
            raise UsageError(f"WarpOptions.border_level = {self.border_level}; expected 0..255")
        if self.threads < 0:
            raise UsageError(f"WarpOptions.threads = {self.threads}; expected 0 or more")


def options_of(contract: ModelSpec, threads: int = 1) -> WarpOptions:
    """Return the options that cut crops out of BGR frames as a contract says.

    Args:
        contract: The contract of the network.
        threads: The highest number of threads; 0 is one per core.
    """
    return WarpOptions(
        border=contract.crop.border,
        border_level=contract.crop.border_value,
        layout=contract.input.layout.removeprefix("n"),
        dtype=contract.input.dtype,
        threads=threads,
    )


def yuv_to_rgb(name: str) -> Array:
    """Return the matrix from (Y, U, V, 1) to R, G, B, levels 0..255 (ITU-R BT.601 section 2.5, BT.709 section 3).

    Args:
        name: A key of YUV.

    Returns:
        [3, 4] float64.
    """
    red, blue, full = YUV[name]
    green = 1 - red - blue
    luma, chroma, black = (1.0, 1.0, 0.0) if full else (255 / 219, 255 / 224, 16.0)
    v_to_red, u_to_blue = 2 * (1 - red) * chroma, 2 * (1 - blue) * chroma
    matrix = np.array(
        [
            [luma, 0, v_to_red],
            [luma, -blue / green * u_to_blue, -red / green * v_to_red],
            [luma, u_to_blue, 0],
        ]
    )
    return np.column_stack([matrix, -matrix @ (black, 128, 128)])


@dataclass(frozen=True, kw_only=True)
class Finish:
    """The constants that turn a blended pixel, as the frame stores it, into the network's input.

    Attributes:
        channel: The stored channel that becomes output channel 0, 1 and 2.
        color: NV12's output channels from Y, U, V, 1, row by row; zeros for other frames.
        scale: The factor of each channel: level * scale + shift is (level * input scale - mean) / std.
        shift: The summand of each channel.
        outside: The stored pixel outside the frame, the first channel in the low byte.
        replicate: Whether the nearest pixel takes the place of `outside`.
    """

    channel: tuple[int, int, int]
    scale: tuple[float, ...]
    shift: tuple[float, ...]
    color: tuple[float, ...]
    outside: int
    replicate: bool


@lru_cache(maxsize=32)
def finish(spec: InputSpec, options: WarpOptions) -> Finish:
    """Return the constants of one network and one kind of frame.

    Args:
        spec: Color order and normalization.
        options: How the frame is stored, and what lies outside it.
    """
    color = yuv_to_rgb(options.yuv)[:: 1 if spec.color == "rgb" else -1] * (options.pixels == "nv12")
    stored = {"gray": (0, 0, 0), "nv12": (0, 1, 2)}
    level = options.border_level
    luma = level if YUV[options.yuv][2] else round(16 + level * 219 / 255)
    outside = (luma, 128, 128) if options.pixels == "nv12" else (level, level, level)
    return Finish(
        channel=stored.get(options.pixels, (0, 1, 2) if spec.color == options.pixels else (2, 1, 0)),
        scale=tuple(spec.scale / s for s in spec.std),
        shift=tuple(-m / s for m, s in zip(spec.mean, spec.std, strict=True)),
        color=tuple(color.ravel().tolist()),
        outside=outside[0] | outside[1] << 8 | outside[2] << 16,
        replicate=options.border == "replicate",
    )


@lru_cache(maxsize=32)
def native_finish(spec: InputSpec, options: WarpOptions) -> _native.Finish:
    """Return `finish` as the host extension takes it.

    Args:
        spec: Color order and normalization.
        options: How the frame is stored, and what lies outside it.
    """
    from edgepose.kernels import _native

    return _native.finish(**asdict(finish(spec, options)))
