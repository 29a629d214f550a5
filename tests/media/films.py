"""Write films of every kind with PyAV, frame by frame: what cameras, phones, recorders and editors leave."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "video"


def gray(level, size=(48, 64)):
    return np.full((*size, 3), level, np.uint8)


def steps(count, fps=25.0):
    """Evenly spaced times, in seconds."""
    return [i / fps for i in range(count)]


def moving(count=40):
    """Noise that moves: pictures that take many bytes."""
    base = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    return [np.roll(base, (i, 2 * i), (0, 1)) for i in range(count)]


def write_film(
    path,
    times,
    *,
    codec="libx264",
    pictures=None,
    pix_fmt="yuv420p",
    format=None,
    options=None,
    muxer=None,
    sound=None,
    tick=Fraction(1, 90_000),
    start=0.0,
    rotation=None,
    aspect=None,
    cover=None,
    flags=None,
    rate=25,
):
    """Write a film whose i-th frame has the level 20 + 8 i, or is `pictures[i]`, and is shown at `times[i]`.

    `sound` is the pair of the codec and the time at which the sound begins; `start` is added to all times; `cover` is
    the place of a cover picture: "first" or "last".
    """
    pictures = pictures or [gray(20 + 8 * (i % 28)) for i in range(len(times))]
    with av.open(str(path), "w", format=format, container_options=muxer or {}) as file:
        still = file.add_stream("mjpeg", rate=1) if cover == "first" else None
        stream = file.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = stream.time_base = tick
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if flags is not None:
            stream.codec_context.flags |= flags
        if rotation is not None:
            stream.set_display_rotation(rotation)
        voice = None
        if sound is not None:
            voice = file.add_stream(sound[0], rate=48_000)
            voice.codec_context.layout = "mono"
        still = file.add_stream("mjpeg", rate=1) if cover == "last" else still
        if still is not None:
            still.width, still.height, still.pix_fmt = 32, 32, "yuvj420p"
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 255, np.uint8), format="bgr24")
            picture = picture.reformat(format="yuvj420p")
            picture.pts = 0
            file.mux(still.encode(picture))
            file.mux(still.encode(None))
        if voice is not None:
            _write_sound(file, voice, sound[1] + start, times[-1] + 0.2)
        for image, time in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = round((time + start) / tick), tick
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def _write_sound(file, voice, begin, seconds):
    """A tone of 440 Hz."""
    samples = int(48_000 * seconds)
    wave = (8000 * np.sin(2 * np.pi * 440 * np.arange(samples) / 48_000)).astype(np.int16)
    size = voice.codec_context.frame_size or 1024
    layout = av.AudioResampler(format=voice.codec_context.format, layout="mono", rate=48_000)
    for at in range(0, samples - size, size):
        frame = av.AudioFrame.from_ndarray(wave[None, at : at + size], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, at + round(begin * 48_000), Fraction(1, 48_000)
        for part in layout.resample(frame):
            file.mux(voice.encode(part))
    file.mux(voice.encode(None))


def levels(images):
    """The steps that pictures of `write_film` stand for."""
    return [round((float(np.median(image)) - 20) / 8) for image in images]
