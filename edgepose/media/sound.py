"""Finish a video file: put its index first, and copy the sound of the film that it shows."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from edgepose._progress import Note, silent
from edgepose.media.streams import address_of, open_container, packets_of

Timed = tuple[float, int, "Packet[Stream]"]  # the time in the video in seconds, a number, and the packet


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
    format: str,
    options: Mapping[str, str],
    tag: str | None = None,
    last_s: float,
    sound: Sound | None = None,
    begin_s: float = 0.0,
    end_s: float = 0.0,
    note: Note = silent,
) -> None:
    """Copy a video into a new file, without encoding it again, and the sound beside it.

    Args:
        video: The video without sound.
        out: The new file.
        format: The name of its container in FFmpeg.
        options: Options of the muxer.
        tag: The name of the codec in the file; None takes the usual one.
        last_s: How long the last picture is shown, in seconds.
        sound: The sound to copy.
        begin_s: The time of the film at which the video begins, in seconds.
        end_s: The time of the film at which it ends.
        note: Receives a line about sound that the container does not take.

    Raises:
        av.error.FFmpegError: A file cannot be read or written.
    """
    with ExitStack() as stack:
        source = stack.enter_context(open_container(address_of(video)))
        target = stack.enter_context(av.open(address_of(out), "w", format=format, container_options=dict(options)))
        pictures = source.streams.video[0]
        copied = target.add_stream_from_template(pictures, opaque=True)  # opaque: no encoder is needed
        if tag is not None:
            copied.codec_context.codec_tag = tag
        parts = [_pictures(source, pictures, copied, last_s)]
        if sound is not None:
            film = stack.enter_context(open_container(address_of(sound.path)))
            zero = sound.zero_s + begin_s
            for stream in film.streams.audio:
                if copy := _taken(target, stream, out.suffix, note):
                    again = stack.enter_context(open_container(address_of(sound.path)))
                    same = again.streams[stream.index]
                    parts.append(_sounds(again, same, copy, zero, end_s - begin_s))
        for _, _, packet in heapq.merge(*parts, key=lambda one: one[0]):
            target.mux(packet)


def _taken(target: OutputContainer, stream: AudioStream, suffix: str, note: Note) -> AudioStream | None:
    """Add a stream of sound to a file; None where its container does not take it."""
    context = stream.codec_context
    if context is not None and context.name in target.supported_codecs | _decoders(target):
        try:
            return target.add_stream_from_template(stream)
        except (ValueError, av.error.FFmpegError):
            pass
    name = _codec_of(context.name) if context is not None else "of an unknown codec"
    note(f"the sound ({name}) was left out: {suffix} files do not take it, .mkv files do")
    return None


def _decoders(target: OutputContainer) -> set[str]:
    """Return the names of decoders, which are not always those of the codecs, whose codec a container takes."""
    return {
        name for name in ("libopus", "libvorbis", "mp3float", "libdav1d") if _codec_of(name) in target.supported_codecs
    }


def _codec_of(decoder: str) -> str:
    return {"mp3float": "mp3"}.get(decoder, decoder.removeprefix("lib"))


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
