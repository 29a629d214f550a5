"""`edgepose run`: an engine over images, folders, videos, cameras and streams."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgepose._files import refuse_existing
from edgepose.cli import options, show
from edgepose.errors import UsageError
from edgepose.pose import Poses

if TYPE_CHECKING:
    from edgepose.artifacts.spec import ModelSpec
    from edgepose.backends.session import OpenOptions, Session
    from edgepose.runtime.finders import Finder
    from edgepose.runtime.pipeline import Pipeline

    Opened = tuple[Pipeline, Finder | None]


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What to run on what, and where the results go.

    detector: whole (None), a boxes .json, or a YOLOX .onnx; only None for a network that finds people itself.
    """

    engine: Path
    source: str
    detector: str | None = None
    out_video: Path | None = None
    out_json: Path | None = None
    out_csv: Path | None = None
    threshold: float = 0.3
    draw_by: str = "side"
    flip_test: bool = False
    threads: int = 0
    overwrite: bool = False


def run_source(request: RunRequest) -> int:
    """Run the engine over the source; returns the number of frames. Ctrl-C keeps what was written so far."""
    from edgepose.backends.engine import open_engine
    from edgepose.backends.session import OpenOptions
    from edgepose.media.draw import draw_poses
    from edgepose.media.results import CsvWriter, JsonWriter
    from edgepose.media.sources import Frame, open_source
    from edgepose.media.video import VideoWriter
    from edgepose.runtime.stream import Sink, run_stream

    outputs = [path for path in (request.out_video, request.out_json, request.out_csv) if path is not None]
    if not outputs:
        raise UsageError("nothing to write: pass --out-video, --out-json or --out-csv")
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise UsageError("two outputs name the same file; give each its own")
    for path in outputs:
        refuse_existing(path, request.overwrite)
    opened = OpenOptions(threads=request.threads)
    with contextlib.ExitStack() as stack:
        session, manifest = open_engine(request.engine, opened)
        stack.enter_context(session)
        source = stack.enter_context(open_source(request.source))
        pipeline, finder = stack.enter_context(_opened(request, session, manifest.spec, opened))
        sinks: list[Sink] = []
        if request.out_video:
            video = stack.enter_context(VideoWriter(request.out_video, source.fps or 10.0))
            draw = functools.partial(draw_poses, threshold=request.threshold, by=request.draw_by)

            def overlay(frame: Frame, poses: Poses) -> None:
                video.write(draw(frame.image, poses), frame.time_s if source.live else None)

            sinks.append(overlay)
        if request.out_json:
            sinks.append(stack.enter_context(JsonWriter(request.out_json)).write)
        if request.out_csv:
            sinks.append(stack.enter_context(CsvWriter(request.out_csv, manifest.spec.skeleton)).write)
        try:
            return run_stream(source, pipeline, sinks, finder=finder, track=show.track)
        finally:
            if source.dropped:
                show.note(f"{source.dropped} frames came faster than they could be worked on, and were left out")


@contextlib.contextmanager
def _opened(request: RunRequest, session: Session, spec: ModelSpec, opened: OpenOptions) -> Iterator[Opened]:
    """The pipeline, and the person finder that the user asked for."""
    from edgepose.runtime.finders import open_finder
    from edgepose.runtime.pipeline import open_pipeline

    with contextlib.ExitStack() as stack:
        pipeline = stack.enter_context(
            open_pipeline(session, spec, flip_test=request.flip_test, threads=request.threads)
        )
        finder = None
        if request.detector is not None:
            if pipeline.finds_people:
                raise UsageError(
                    f"{request.engine} finds people by itself (codec {spec.codec.name!r}); leave out --detector"
                )
            finder = stack.enter_context(open_finder(request.detector, opened))
        yield pipeline, finder
        if pipeline.slowed_by:
            show.note(pipeline.slowed_by)


@click.command()
@click.argument("engine", type=options.ENGINE)
@click.option("--source", required=True, metavar="FILE|DIR|VIDEO|camera:0|URL", help="What to look at.")
@click.option("--detector", metavar="whole|BOXES.json|YOLOX.onnx",
              help="Where the people are: one who fills the frame (default), a boxes file, or a detector. "
                   "A network of part affinity fields needs none.")  # fmt: skip
@click.option("--out-video", type=options.NEW_FILE, help="Overlay video (.mp4, .avi, .mkv).")
@click.option("--out-json", type=options.NEW_FILE, help="COCO keypoint results.")
@click.option("--out-csv", type=options.NEW_FILE, help="One row a person.")
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.3, show_default=True, help="Joints drawn.")
@click.option("--draw-by", type=click.Choice(["side", "person"]), default="side", show_default=True,
              help="What the colors tell apart.")  # fmt: skip
@click.option("--flip-test", is_flag=True, help="Average with the mirrored crop: twice the work, more accurate.")
@options.threads
@options.overwrite
def command(**given: object) -> None:
    """Find people's poses with ENGINE.

    \b
    Examples:
      edgepose run engines/openvino-int8 --source video.mp4 --detector yolox_nano.onnx --out-video poses.mp4
      edgepose run engines/openvino-int8 --source photos --out-json poses.json
      edgepose run engines/openvino-int8 --source camera:0 --out-csv poses.csv     (Ctrl-C ends it)
    """
    request = RunRequest(**given)  # type: ignore[arg-type]
    frames = run_source(request)
    show.note(f"{frames} frames")
    for path in (request.out_video, request.out_json, request.out_csv):
        if path is not None and path.exists():
            click.echo(path)
