"""Run a model over images, folders, videos, cameras and streams, and write what it finds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._options import option
from edgepose._progress import Note, Track, quiet, silent
from edgepose.api.following import check_score, follow_people, interval_of_text, region_of_text
from edgepose.api.outputs import OutputOptions, open_outputs, refuse_outputs, written
from edgepose.errors import UsageError
from edgepose.media.selection import Selection, seconds_of

if TYPE_CHECKING:
    from edgepose.api.following import Following
    from edgepose.api.load import PoseModel
    from edgepose.media.sources import Frame, Source
    from edgepose.pose.poses import Poses
    from edgepose.runtime.finders import Finder
    from edgepose.runtime.smoothing import SmoothingReport
    from edgepose.runtime.stream import Sink


@dataclass(frozen=True, kw_only=True)
class RunOptions(OutputOptions):
    """Where people are found, how poses are drawn, and, from `out_video` on, where results go.

    Attributes:
        detector: "whole" (one person fills the frame, the default), a boxes file (.json), or a person detector: an
            ONNX file, the folder that one was published in, or an engine folder.
            A network that finds people by itself takes no detector.
        det_score: The score that a person's box must have; None takes what the contract of the network says.
        roi: x0, y0, x1, y1 of the region that the center of a person's box must be in: fractions of the image where no
            number is above 1, else pixels.
        max_people: The largest number of people in a frame; the largest boxes stay. 0 takes all.
        track: Whether people get identities. With a person detector their boxes then come from their poses, between
            detections.
        detect_every: With tracking, the largest number of frames from one detection to the next; None adapts it to what
            happens in the picture.
        smooth: Whether the motion of every tracked person is smoothed.
        threshold: Joints with a lower score are not drawn, and count as not found in TRC and MOT.
        draw_by: "side" or "person": what the colors tell apart.
        flip_test: Whether to average with the mirrored crop.
        threads: CPU threads of inference and of cropping; 0 chooses.
        recursive: Whether to take the images in the sub-folders of a folder too, and the videos of all of them.
        strict: Whether an image of a folder that cannot be read ends the run. Otherwise it is skipped.
        start: Where in a film to begin, in seconds.
        end: Where in a film to end, in seconds; None goes to its end.
        every: Take one frame of so many.
        video_codec: The codec of the video: h264, hevc, mpeg4, vp9, av1, or a hardware encoder of FFmpeg such as
            h264_nvenc. None takes H.264, in .webm files VP9.
        skip_errors: Whether to leave out damaged frames of a film and go on. Otherwise the first one ends the run.
    """

    detector: str | None = option(
        None, "--detector", "How people are found: one person fills the frame (whole, the default), a file of boxes, "
        "or a detector (ONNX file, folder or engine). A network that finds people by itself needs none.",
        metavar="whole|BOXES.json|DETECTOR",
    )  # fmt: skip
    det_score: float | None = option(
        None, "--det-score", "Score that a person's box must have; by default that of the network's contract.",
        min=0, max=1,
    )  # fmt: skip
    roi: tuple[float, float, float, float] | None = option(
        None, "--roi", "Only people whose box has its center in this region: pixels, or fractions of the image.",
        metavar="X0,Y0,X1,Y1", parse=region_of_text,
    )  # fmt: skip
    max_people: int = option(
        0, "--max-people", "At most so many people, those with the largest boxes; 0 is all.", min=0
    )
    track: bool = option(
        False, "--track", "Give people identities that stay over frames, and take boxes from poses between detections."
    )
    detect_every: int | None = option(
        None, "--detect-every", "With --track: the detector runs at least in every N-th frame, and sooner where a "
        "person was lost; auto (the default) watches the picture for people who enter.",
        metavar="N|auto", parse=interval_of_text,
    )  # fmt: skip
    smooth: bool = option(False, "--smooth", "Smooth the motion of every tracked person (One-Euro filter).")
    threshold: float = option(
        0.3, "--threshold", "Joints with a lower score are not drawn, and not in TRC and MOT.", min=0, max=1
    )
    draw_by: str = option("side", "--draw-by", "What the colors tell apart.", choices=("side", "person"))
    flip_test: bool = option(False, "--flip-test", "Average with the mirrored crop: twice the work, more accurate.")
    threads: int = option(0, "--threads", "CPU threads of inference and of cropping; 0 chooses.", min=0)
    recursive: bool = option(False, "--recursive", "Take the images in sub-folders too, and videos.")
    strict: bool = option(
        False, "--strict", "Stop at an image of a folder that cannot be read, instead of skipping it."
    )
    start: float = option(0.0, "--start", "Begin at this time of a film.", metavar="SECONDS|HH:MM:SS", parse=seconds_of)
    end: float | None = option(
        None, "--end", "End at this time of a film.", metavar="SECONDS|HH:MM:SS", parse=seconds_of
    )
    video_codec: str | None = option(
        None, "--video-codec", "Codec of the video: h264 (the default), hevc, mpeg4, vp9 (the default of .webm), av1, "
        "or a hardware encoder of FFmpeg such as h264_nvenc.", metavar="CODEC",
    )  # fmt: skip
    every: int = option(1, "--every", "Take one frame of so many.", metavar="N", min=1)
    skip_errors: bool = option(False, "--skip-errors", "Leave out the damaged frames of a film, and go on.")

    def __post_init__(self) -> None:
        """Take the region as text too, and refuse a selection that holds no frame."""
        super().__post_init__()
        self.selection  # noqa: B018
        if isinstance(self.roi, str):
            object.__setattr__(self, "roi", region_of_text(self.roi))

    @property
    def selection(self) -> Selection:
        """Which frames of a source are taken."""
        return Selection(start_s=self.start, end_s=self.end, every=self.every, skip_errors=self.skip_errors)


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run did.

    Attributes:
        frames: Number of frames.
        dropped: Number of frames of a live source that came too fast.
        slowed_by: What kept an engine on a GPU from its fastest pipeline; empty where nothing did.
        outputs: The files and folders that were written.
        skipped: The files of a folder that could not be read, or not to their end, each with the reason.
        detections: Number of frames in which the detector ran, where people were followed between detections.
        smoothing: What smoothing did to jitter, and its lag.
    """

    frames: int
    dropped: int
    slowed_by: str
    outputs: tuple[Path, ...]
    skipped: tuple[str, ...] = ()
    detections: int | None = None
    smoothing: SmoothingReport | None = None


def run(
    model: str | Path,
    *,
    source: str | Path,
    options: RunOptions = RunOptions(),
    sinks: Sequence[Callable[[Frame, Poses], None]] = (),
    overwrite: bool = False,
    track: Track = quiet,
    note: Note = silent,
) -> RunResult:
    """Find the poses in every frame of a source and write them; an interrupt keeps what was written so far.

    Args:
        model: An engine folder, a zoo name or an ONNX file.
        source: An image, a folder of images, a video, "camera:0", "csi:0", "gst:PIPELINE" or an address such as rtsp://.
        options: Detector, outputs and drawing.
        sinks: Functions that receive each frame and its poses, in a thread of their own.
        overwrite: Whether to replace outputs that exist.
        track: Shows the progress.
        note: Receives a line about dropped frames, about what is left out of a folder and about a slower pipeline.

    Returns:
        The number of frames, the files, and the images that could not be read.

    Raises:
        UsageError: There is no output and no sink, an output exists or is an input, or two outputs are one file.
        DataError: The source cannot be read.
        EngineError: The engine is damaged or was made for another machine.

    Examples:
        >>> run("lite", source="video.mp4", options=RunOptions(out_json=Path("poses.json"))).frames
        120
    """
    from edgepose.api.load import load
    from edgepose.media.sources import open_source, source_name

    _refuse(options, overwrite, bool(sinks), (model, source, options.detector))
    with (
        load(model, threads=options.threads, flip_test=options.flip_test, track=track, note=note) as network,
        open_source(
            str(source),
            recursive=options.recursive,
            strict=options.strict,
            selection=options.selection,
            threads=options.threads,
            note=note,
        ) as frames,
    ):
        try:
            done, people = _run(network, frames, source_name(str(source)), options, sinks, track, note)
        finally:
            if frames.dropped:
                note(f"{frames.dropped} frames came faster than they could be processed, and were dropped")
        slowed_by = network.slowed_by
        if slowed_by:
            note(slowed_by)
    return RunResult(
        frames=done,
        dropped=frames.dropped,
        slowed_by=slowed_by,
        outputs=written(options),
        skipped=tuple(frames.skipped),
        detections=people.follower.detections if people.follower is not None else None,
        smoothing=people.smoother.report() if people.smoother is not None else None,
    )


def _refuse(options: RunOptions, overwrite: bool, sunk: bool, inputs: Sequence[str | Path | None]) -> None:
    """Raise UsageError unless every result has a place of its own."""
    if not options.places and not sunk:
        raise UsageError("nothing to write: pass an output such as --out-json, --out-csv or --out-video")
    if options.recursive and str(options.detector).endswith(".json"):
        raise UsageError("--detector with a boxes file tells frames apart without their folders; leave out --recursive")
    refuse_outputs(options, overwrite, inputs)
    if options.recursive and options.out_video and options.out_video.is_file():
        folder = Path(str(inputs[1])).resolve()
        if options.out_video.resolve().is_relative_to(folder):
            raise UsageError(f"{options.out_video}: --recursive reads the videos of {folder}; write somewhere else")


def _run(
    network: PoseModel,
    source: Source,
    name: str,
    options: RunOptions,
    sinks: Sequence[Sink],
    track: Track,
    note: Note,
) -> tuple[int, Following]:
    from edgepose.media.draw import Drawing
    from edgepose.media.results.sink import RunFacts
    from edgepose.runtime.stages import StageTimes
    from edgepose.runtime.stream import run_stream

    check_score(network.spec, options.det_score)
    times = StageTimes()
    about = RunFacts(
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
    with contextlib.ExitStack() as stack:
        finder = stack.enter_context(network.finder(options.detector, least_score=options.det_score))
        people = _people(network, finder, options)
        opened = stack.enter_context(open_outputs(options, about))
        all_sinks = [*sinks, *(sink.write for sink in opened)]
        how: dict[str, Any] = {"finder": people.finder, "steps": people.steps, "track": track, "times": times}
        done = run_stream(source, network.pipeline, all_sinks, **how)
        for line in people.notes():
            note(line)
        return done, people


def _people(network: PoseModel, finder: Finder | None, options: RunOptions) -> Following:
    from edgepose.runtime.selection import PeopleSelection
    from edgepose.runtime.smoothing import SmoothingOptions
    from edgepose.runtime.tracking import TrackingOptions

    least_score = options.det_score or 0.0
    return follow_people(
        network.spec,
        finder,
        selection=PeopleSelection(roi=options.roi, least_score=least_score, max_people=options.max_people),
        tracking=TrackingOptions() if options.track else None,
        detect_every=options.detect_every,
        smoothing=SmoothingOptions() if options.smooth else None,
    )
