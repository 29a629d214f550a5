"""Finish a video file: put its index first, and add the sound of the film that it shows.

Sound is copied where players take its codec in the container, and encoded again elsewhere: an MP4 file can hold PCM,
but most players refuse it there.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from edgepose._progress import Note, silent
from edgepose.media.encoders import Container
from edgepose.media.streams import address_of, open_container, packets_of

Timed = tuple[float, int, "Packet[Stream]"]  # the time in the video in seconds, a number, and the packet

_Part = Callable[[InputContainer, AudioStream, AudioStream, float, float], Iterator[Timed]]


@dataclass(frozen=True, kw_only=True)
class Sound:
    """The sound of a film.

    Attributes:
        path: The file.
        zero_s: The time in the file at which time 0 of the film is, in seconds.
    """

    path: Path
    zero_s: float


def finish(
    video: Path,
    out: Path,
    *,
    container: Container,
    options: Mapping[str, str],
    tag: str | None = None,
    last_s: float,
    sound: Sound | None = None,
    begin_s: float = 0.0,
    end_s: float = 0.0,
    note: Note = silent,
) -> None:
    """Copy a video into a new file, without encoding it again, and add the sound.

    Args:
        video: The video without sound.
        out: The new file.
        container: Its kind.
        options: Options of the muxer.
        tag: The name of the codec in the file; None takes the usual one.
        last_s: How long the last picture is shown, in seconds.
        sound: The sound to add.
        begin_s: The time of the film at which the video begins, in seconds.
        end_s: The time of the film at which it ends.
        note: Receives a line about sound that was encoded again or left out.

    Raises:
        av.error.FFmpegError: A file cannot be read or written.
    """
    with ExitStack() as stack:
        source = stack.enter_context(open_container(address_of(video)))
        target = stack.enter_context(
            av.open(address_of(out), "w", format=container.format, container_options=dict(options))
        )
        pictures = source.streams.video[0]
        copied = target.add_stream_from_template(pictures, opaque=True)  # opaque: no encoder is needed
        if tag is not None:
            copied.codec_context.codec_tag = tag
        parts = [_pictures(source, pictures, copied, last_s)]
        if sound is not None:
            film = stack.enter_context(open_container(address_of(sound.path)))
            zero = sound.zero_s + begin_s
            heard: list[AudioStream] = []
            for stream in film.streams.audio:
                copy = _copied(target, stream, container)
                part: _Part = _sounds
                if copy is None:
                    copy, part = _encoder(target, stream, container, out.suffix, note), _encoded
                if copy is not None:
                    again = stack.enter_context(open_container(address_of(sound.path)))
                    same = again.streams.audio[len(heard)]
                    parts.append(part(again, same, copy, zero, end_s - begin_s))
                heard.append(stream)
        for _, _, packet in heapq.merge(*parts, key=lambda one: one[0]):
            target.mux(packet)


def _copied(target: OutputContainer, stream: AudioStream, container: Container) -> AudioStream | None:
    """Add a stream of sound to a file as it is; None where its container, or its players, do not take it."""
    context = stream.codec_context
    name = _codec_of(context.name) if context is not None else ""
    if name not in container.sounds and name.partition("_")[0] not in container.sounds:
        return None
    try:
        return target.add_stream_from_template(stream)
    except (ValueError, av.error.FFmpegError):
        return None


def _encoder(
    target: OutputContainer, stream: AudioStream, container: Container, suffix: str, note: Note
) -> AudioStream | None:
    """Add a stream for sound that is encoded again; None where it cannot be decoded or encoded."""
    context, codec = stream.codec_context, container.sounds[0]
    before = _codec_of(context.name) if context is not None else "of an unknown codec"
    if context is not None and context.sample_rate and context.channels:
        try:
            made = target.add_stream(_ENCODERS.get(codec, codec))
            assert isinstance(made, AudioStream)
            rates = made.codec_context.codec.audio_rates
            rate = context.sample_rate if not rates or context.sample_rate in rates else 48_000
            made.codec_context.sample_rate = rate
            made.codec_context.layout = "mono" if context.channels == 1 else "stereo"
            made.codec_context.time_base = made.time_base = Fraction(1, rate)
            made.codec_context.open()
        except (ValueError, av.error.FFmpegError, av.codec.codec.UnknownCodecError):
            pass
        else:
            note(f"the sound ({before}) was encoded as {codec}: players do not take it in {suffix} files")
            return made
    note(f"the sound ({before}) was left out: {suffix} files do not take it, .mkv files do")
    return None


_ENCODERS = {"opus": "libopus"}  # encoders whose name is not that of the codec


def _codec_of(decoder: str) -> str:
    """Return the codec of a decoder, which are not always named alike."""
    return {"mp3float": "mp3", "dca": "dts"}.get(decoder, decoder.removeprefix("lib"))


def _pictures(container: InputContainer, stream: Stream, copy: Stream, last_s: float) -> Iterator[Timed]:
    """Yield the packets of a video for its copy; each lasts until the next one, and the last one `last_s`."""
    base = stream.time_base
    assert base is not None
    before: Packet[Stream] | None = None
    for packet in packets_of(container, stream):
        if before is not None and before.dts is not None:
            before.duration = round(last_s / base) if packet.dts is None else packet.dts - before.dts
            before.stream = copy
            yield float(before.dts * base), copy.index, before
        before = packet


def _sounds(container: InputContainer, stream: Stream, copy: Stream, zero_s: float, length_s: float) -> Iterator[Timed]:
    """Yield the packets of sound from a time of the file on, for as long as the video lasts, for a copy from 0 on."""
    base = stream.time_base
    assert base is not None
    shift = round(zero_s / base)
    with suppress(av.error.FFmpegError):  # a file that cannot be sought in is read from its beginning
        container.seek(int(zero_s * av.time_base))
    for packet in packets_of(container, stream):
        if packet.pts is None or packet.dts is None:
            continue
        packet.pts -= shift
        packet.dts -= shift
        at = float(packet.pts * base)
        if at >= length_s:
            return
        if at >= 0:
            packet.stream = copy
            yield float(packet.dts * base), copy.index, packet


def _encoded(
    container: InputContainer, stream: AudioStream, made: AudioStream, zero_s: float, length_s: float
) -> Iterator[Timed]:
    """Yield newly encoded packets of sound from a time of the file on, for as long as the video lasts."""
    base, context = stream.time_base, made.codec_context
    assert base is not None
    resampler = av.AudioResampler(context.format, context.layout, context.sample_rate, context.frame_size or None)
    shift = round(zero_s / base)
    with suppress(av.error.FFmpegError):  # a file that cannot be sought in is read from its beginning
        container.seek(int(zero_s * av.time_base))

    def frames() -> Iterator[AudioFrame]:
        for packet in container.demux(stream):
            with suppress(av.error.InvalidDataError):  # what is damaged is silent
                for frame in packet.decode():
                    if frame.pts is None:
                        continue
                    frame.pts -= shift
                    if float(frame.pts * base) >= length_s:
                        return
                    if frame.pts >= 0:
                        yield from resampler.resample(frame)

    for frame in itertools.chain(frames(), [None]):  # None empties the encoder
        for packet in made.encode(frame):
            if packet.dts is not None:
                yield float(packet.dts * packet.time_base), made.index, packet
