"""Which codec a video is written in: what containers take, and how each encoder is set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.video.codeccontext import VideoCodecContext

from edgepose.errors import UsageError, nearest

TICK = Fraction(1, 90_000)  # of times: whole numbers of it make 24, 25, 30, 50, 60 and 29.97 frames per second
KEY_FRAME_S = 2.0  # between pictures that stand for themselves: what players can jump to, and what a crash may cost


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """An encoder of FFmpeg with its settings.

    Attributes:
        names: Names of FFmpeg's encoders, the first that is there is taken.
        options: Options of the encoder.
        tag: The name of the codec in MP4 and MOV, where the usual one is not the one that players know.
        tick: The unit of time in seconds, which MPEG-4 limits.
    """

    names: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    tag: str | None = None
    tick: Fraction = TICK


@dataclass(frozen=True, kw_only=True)
class Container:
    """A kind of video file.

    Attributes:
        format: Its name in FFmpeg.
        codecs: The codecs that it takes, the default first.
        working: Options of the muxer while the frames come, so that a file that was never finished can be played.
        finished: Options of the muxer for the finished file; None where the working file is the finished one.
        fixed_rate: Whether all frames last equally long.
        sounds: The codecs of sound that players take in it, by FFmpeg's names; `pcm` stands for all kinds of PCM. Sound
            in another codec is encoded in the first one.
    """

    format: str
    codecs: tuple[str, ...]
    sounds: tuple[str, ...]
    working: Mapping[str, str] = field(default_factory=dict)
    finished: Mapping[str, str] | None = None
    fixed_rate: bool = False


_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
_FLUSHED = {"flush_packets": "1"}
_INDEX_FIRST = {"movflags": "faststart"}
_ALL = ("h264", "hevc", "mpeg4", "av1", "vp9")

ENCODERS: dict[str, Encoder] = {
    # Frames that look ahead ("bf") would delay the first one, which then needs an edit list. A coarser search of motion
    # takes a third off the encoder's time, and makes files about a fifth larger.
    "h264": Encoder(
        names=("libx264", "libopenh264"),
        options={"preset": "veryfast", "crf": "20", "bf": "0", "subq": "0", "motion-est": "dia", "weightp": "none"},
    ),
    "hevc": Encoder(
        names=("libx265",),
        options={"preset": "ultrafast", "crf": "22", "x265-params": "log-level=none:bframes=0"},
        tag="hvc1",  # Apple's players know HEVC under this name only
    ),
    "mpeg4": Encoder(names=("mpeg4",), options={"qmin": "2", "qmax": "5"}, tick=Fraction(1, 60_000)),
    "vp9": Encoder(
        names=("libvpx-vp9",),
        options={"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "crf": "30", "b": "0", "lag-in-frames": "0"},
    ),
    "av1": Encoder(names=("libsvtav1", "libaom-av1"), options={"preset": "10", "crf": "35"}),
}
_MP4_SOUNDS = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")
_AVI_SOUNDS = ("aac", "mp3", "mp2", "ac3", "pcm")
CONTAINERS: dict[str, Container] = {
    ".mp4": Container(format="mp4", codecs=_ALL, sounds=_MP4_SOUNDS, working=_FRAGMENTS, finished=_INDEX_FIRST),
    ".mov": Container(
        format="mov",
        codecs=("h264", "hevc", "mpeg4"),
        sounds=("aac", "mp3", "ac3", "alac", "pcm"),
        working=_FRAGMENTS,
        finished=_INDEX_FIRST,
    ),
    ".mkv": Container(
        format="matroska", codecs=_ALL, sounds=(*_MP4_SOUNDS, "pcm", "mp2", "vorbis", "dts"), working=_FLUSHED
    ),
    ".webm": Container(format="webm", codecs=("vp9", "av1"), sounds=("opus", "vorbis"), working=_FLUSHED),
    ".avi": Container(format="avi", codecs=("h264", "mpeg4"), sounds=_AVI_SOUNDS, working=_FLUSHED, fixed_rate=True),
}
_HARDWARE = ("nvenc", "qsv", "amf", "v4l2m2m", "videotoolbox", "mf")  # encoders that take pictures from memory


def container_of(path: Path) -> Container:
    """Return the kind of a video file, by its suffix.

    Raises:
        UsageError: The suffix is unknown.
    """
    suffix = path.suffix.lower()
    if suffix not in CONTAINERS:
        raise UsageError(f"video {path}: unknown suffix {path.suffix!r}{nearest(suffix, CONTAINERS)}")
    return CONTAINERS[suffix]


def encoder_of(path: Path, codec: str | None) -> tuple[str, Encoder]:
    """Choose the encoder of a video file.

    Args:
        path: The file, whose suffix says which codecs are possible.
        codec: A codec (h264, hevc, mpeg4, vp9, av1) or a hardware encoder of FFmpeg (h264_nvenc); None takes the
            default of the container.

    Returns:
        The name of FFmpeg's encoder, and its settings.

    Raises:
        UsageError: The container does not take the codec, or this FFmpeg has no encoder for it.
    """
    container = container_of(path)
    name = codec or container.codecs[0]
    base, _, hardware = name.partition("_")
    if base not in ENCODERS or (hardware and hardware not in _HARDWARE):
        raise UsageError(f"--video-codec {name}{nearest(name, ENCODERS)}; or a hardware encoder such as h264_nvenc")
    if base not in container.codecs:
        raise UsageError(f"{path.suffix} takes no {base}; choose --video-codec {' or '.join(container.codecs)}")
    kind = ENCODERS[base]
    if hardware:
        kind = Encoder(names=(name,), tag=kind.tag)
    for candidate in kind.names:
        if _is_there(candidate):
            return candidate, kind
    there = [name for name, encoder in ENCODERS.items() if any(map(_is_there, encoder.names))]
    raise UsageError(f"this FFmpeg cannot encode {name}; it can encode {', '.join(there)}")


def tick_of(encoder: Encoder, container: Container, fps: float) -> Fraction:
    """Return the unit of the times of frames, in seconds."""
    return 1 / Fraction(fps).limit_denominator(1001) if container.fixed_rate else encoder.tick


def set_colors(context: VideoCodecContext) -> None:
    """Say in the file how its colors were computed, so that no player has to guess it from the size."""
    context.color_range = 1  # luma from 16 to 235
    context.colorspace = 6  # BT.601, in which OpenCV and swscale convert unless told otherwise
    context.color_primaries = 1  # those of ordinary screens (BT.709)
    context.color_trc = 1


def _is_there(name: str) -> bool:
    try:
        return bool(av.Codec(name, "w").is_encoder)
    except (av.codec.codec.UnknownCodecError, ValueError):
        return False
