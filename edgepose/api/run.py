"""Run a model over images, folders, videos, cameras and streams, and write what it finds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._options import option
from edgepose._progress import Note, Track, quiet, silent
from edgepose.api.following import StreamOptions, check_score, people_of
from edgepose.api.outputs import OutputOptions, open_outputs, outputs_of_source, refuse_outputs, written
from edgepose.errors import UsageError, counted, redact

if TYPE_CHECKING:
    from edgepose.api.following import Following
    from edgepose.api.load import PoseModel
    from edgepose.media.results.sink import RunFacts
    from edgepose.media.sources import Frame, Source
    from edgepose.pose.poses import Poses
    from edgepose.runtime.ends import Sink
    from edgepose.runtime.smoothing import SmoothingReport
    from edgepose.runtime.stages import StageTimes


@dataclass(frozen=True, kw_only=True)
class RunOptions(StreamOptions, OutputOptions):
    """Who counts, as in `StreamOptions`; where results go, as in `OutputOptions`; and how the network runs.

    Attributes:
        threshold: Joints with a lower score are not drawn, and count as not found in TRC and MOT.
        draw_by: "side" or "person": what the colors tell apart.
        flip_test: Whether to average with the mirrored crop.
        threads: CPU threads of inference and of cropping; 0 chooses.
        strict: Whether an image of a folder that cannot be read ends the run. Otherwise it is skipped.
        video_codec: The codec of the video: h264, hevc, mpeg4, vp9, av1, or a hardware encoder of FFmpeg such as
            h264_nvenc. None takes H.264, in .webm files VP9.
    """

    threshold: float = option(
        0.3, "--threshold", "Joints with a lower score are not drawn, and not in TRC and MOT.", min=0, max=1
    )
    draw_by: str = option("side", "--draw-by", "What the colors tell apart.", choices=("side", "person"))
    flip_test: bool = option(False, "--flip-test", "Average with the mirrored crop: twice the work, more accurate.")
    threads: int = option(0, "--threads", "CPU threads of inference and of cropping; 0 chooses.", min=0)
    strict: bool = option(
        False, "--strict", "Stop at an image of a folder that cannot be read, instead of skipping it."
    )
    video_codec: str | None = option(
        None, "--video-codec", "Codec of the video: h264 (the default), hevc, mpeg4, vp9 (the default of .webm), av1, "
        "or a hardware encoder of FFmpeg such as h264_nvenc.", metavar="CODEC",
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Check the parts."""
        OutputOptions.__post_init__(self)
        StreamOptions.__post_init__(self)


@dataclass(frozen=True, kw_only=True)
class SourceResult:
    """What a run did with one source.

    Attributes:
        source: The source as it was given, without passwords.
        name: Its name in outputs.
        frames: Number of frames.
        dropped: Number of frames of a live source that came too fast.
        outputs: The files and folders that were written.
        skipped: The files of a folder that could not be read, or not to their end, each with the reason.
        detections: Number of frames in which the detector ran, where people were followed between detections.
        smoothing: What smoothing did to jitter, and its lag.
        error: What ended the source early, in a run of several sources; empty where nothing did.
    """

    source: str
    name: str
    frames: int = 0
    dropped: int = 0
    outputs: tuple[Path, ...] = ()
    skipped: tuple[str, ...] = ()
    detections: int | None = None
    smoothing: SmoothingReport | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run did.

    Attributes:
        sources: What it did with each source, in the order in which they were given.
        slowed_by: What kept an engine on a GPU from its fastest pipeline; empty where nothing did.
    """

    sources: tuple[SourceResult, ...]
    slowed_by: str = ""

    @property
    def frames(self) -> int:
        """Number of frames of all sources."""
        return sum(one.frames for one in self.sources)

    @property
    def dropped(self) -> int:
        """Number of frames of live sources that came too fast."""
        return sum(one.dropped for one in self.sources)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The files and folders that were written."""
        return tuple(path for one in self.sources for path in one.outputs)

    @property
    def skipped(self) -> tuple[str, ...]:
        """The files of folders that could not be read, or not to their end, each with the reason."""
        return tuple(line for one in self.sources for line in one.skipped)

    @property
    def detections(self) -> int | None:
        """Number of frames in which the detector ran, where people were followed between detections."""
        ran = [one.detections for one in self.sources if one.detections is not None]
        return sum(ran) if ran else None

    @property
    def smoothing(self) -> SmoothingReport | None:
        """What smoothing did in a run of one source; None in a run of several, see `sources`."""
        return self.sources[0].smoothing if len(self.sources) == 1 else None

    @property
    def failed(self) -> tuple[SourceResult, ...]:
        """The sources that an error ended."""
        return tuple(one for one in self.sources if one.error)


def run(
    model: str | Path,
    *,
    source: str | Path | Sequence[str | Path],
    options: RunOptions = RunOptions(),
    sinks: Sequence[Callable[[Frame, Poses], None]] = (),
    overwrite: bool = False,
    track: Track = quiet,
    note: Note = silent,
) -> RunResult:
    """Find the poses in every frame of a source and write them; an interrupt keeps what was written so far.

    Several sources share the engine and the detector. Each has outputs, tracks and smoothing of its own: see
    `edgepose.api.outputs.outputs_of_source` for the names of the outputs. A source that fails does not end the others;
    its `SourceResult.error` says why.

    Args:
        model: An engine folder, a zoo name or an ONNX file.
        source: An image, a folder of images, a video, "camera:0", "csi:0", "gst:PIPELINE" or an address such as
            rtsp://; or a sequence of them.
        options: Detector, outputs and drawing.
        sinks: Functions that receive each frame and its poses, one call at a time, in a thread of their own for each
            source. `Frame.source` is the name of the source in a run of several.
        overwrite: Whether to replace outputs that exist.
        track: Shows the progress.
        note: Receives a line about dropped frames, about what is left out of a folder and about a slower pipeline.

    Returns:
        The number of frames, the files, and the images that could not be read.

    Raises:
        UsageError: There is no output and no sink, an output exists or is an input, or two outputs are one file.
        DataError: The source cannot be read, or none of several.
        EngineError: The engine is damaged or was made for another machine.

    Examples:
        >>> run("lite", source="video.mp4", options=RunOptions(out_json=Path("poses.json"))).frames
        120
    """
    given = [str(source)] if isinstance(source, (str, Path)) else [str(one) for one in source]
    if not given:
        raise UsageError("no source is given; name an image, a folder, a video, a camera or an address")
    if not options.places and not sinks:
        raise UsageError("nothing to write: pass an output such as --out-json, --out-csv or --out-video")
    if options.recursive and str(options.detector).endswith(".json"):
        raise UsageError("--detector with a boxes file tells frames apart without their folders; leave out --recursive")
    if len(given) > 1:
        from edgepose.api.several import run_several

        return run_several(model, given, options, sinks, overwrite, track, note)
    return _run_one(model, given[0], options, sinks, overwrite, track, note)


def _run_one(
    model: str | Path,
    text: str,
    options: RunOptions,
    sinks: Sequence[Sink],
    overwrite: bool,
    track: Track,
    note: Note,
) -> RunResult:
    from edgepose.api.load import load
    from edgepose.media.sources import open_source, source_name

    name = source_name(text)
    options = outputs_of_source(options, name)
    refuse_outputs(options, overwrite, (model, text, options.detector), name)
    refuse_own_videos(options, text)
    with (
        load(model, threads=options.threads, flip_test=options.flip_test, track=track, note=note) as network,
        open_source(
            text,
            recursive=options.recursive,
            strict=options.strict,
            selection=options.selection,
            threads=options.threads,
            note=note,
        ) as frames,
    ):
        try:
            done, people = _run(network, frames, name, options, sinks, track, note)
        finally:
            note_drops(frames, note)
        slowed_by = network.slowed_by
        if slowed_by:
            note(slowed_by)
    return RunResult(sources=(result_of(text, name, done, frames, people, options),), slowed_by=slowed_by)


def refuse_own_videos(options: RunOptions, text: str) -> None:
    """Raise UsageError where a run would read the video that it writes."""
    if options.recursive and options.out_video and options.out_video.is_file():
        folder = Path(text).resolve()
        if options.out_video.resolve().is_relative_to(folder):
            raise UsageError(f"{options.out_video}: --recursive reads the videos of {folder}; write somewhere else")


def note_drops(source: Source, note: Note) -> None:
    """Say how many frames of a live source were lost."""
    if source.dropped:
        were = "was" if source.dropped == 1 else "were"
        note(f"{counted(source.dropped, 'frame')} came faster than they could be processed, and {were} dropped")


def result_of(
    text: str, name: str, frames: int, source: Source, people: Following, options: RunOptions, error: str = ""
) -> SourceResult:
    """Return what a run did with a source; see `SourceResult`."""
    return SourceResult(
        source=redact(text),
        name=name,
        frames=frames,
        dropped=source.dropped,
        outputs=written(options),
        skipped=tuple(source.skipped),
        detections=people.follower.detections if people.follower is not None else None,
        smoothing=people.smoother.report() if people.smoother is not None else None,
        error=error,
    )


def _run(
    network: PoseModel,
    source: Source,
    name: str,
    options: RunOptions,
    sinks: Sequence[Sink],
    track: Track,
    note: Note,
) -> tuple[int, Following]:
    from edgepose.runtime.stages import StageTimes
    from edgepose.runtime.stream import run_stream

    check_score(network.spec, options.det_score)
    times = StageTimes()
    about = facts_of(network, source, name, options, times, note)
    with contextlib.ExitStack() as stack:
        finder = stack.enter_context(
            network.finder(options.detector, least_score=options.det_score, classes=options.det_classes)
        )
        people = people_of(network.spec, finder, options)
        opened = stack.enter_context(open_outputs(options, about))
        all_sinks = [*sinks, *(sink.write for sink in opened)]
        how: dict[str, Any] = {"finder": people.finder, "steps": people.steps, "track": track, "times": times}
        done = run_stream(source, network.pipeline, all_sinks, **how)
        for line in people.notes():
            note(line)
        return done, people


def facts_of(
    network: PoseModel, source: Source, name: str, options: RunOptions, times: StageTimes, note: Note
) -> RunFacts:
    """Return what the outputs of a source may ask about the run; see `RunFacts`."""
    from edgepose.media.draw import Drawing
    from edgepose.media.results.sink import RunFacts

    return RunFacts(
        name=name,
        skeleton=network.skeleton,
        fps=source.fps,
        draw=Drawing(threshold=options.threshold, by=options.draw_by, labels=options.track),
        threshold=options.threshold,
        live=source.live,
        canvas=source.canvas() if options.out_video else None,
        latencies_ms=times.latencies_ms,
        dropped=lambda: source.dropped,
        video_codec=options.video_codec,
        sound=source.sound,
        note=note,
    )
