"""`edgepose run`: a model over images, folders, videos, cameras and streams."""

import json
from typing import Any

import click

from edgepose.api.outputs import frame_record
from edgepose.api.run import RunOptions, run
from edgepose.cli import flags, options, show
from edgepose.errors import counted


@click.command()
@options.engine
@click.option(
    "--source",
    "sources",
    required=True,
    multiple=True,
    metavar="FILE|DIR|VIDEO|camera:0|csi:0|gst:PIPELINE|URL",
    help="The images to process. Several sources share the engine; each has outputs of its own.",
)
@flags.flags_of(RunOptions)
@options.overwrite
def command(engine: str, sources: tuple[str, ...], overwrite: bool, **given: Any) -> None:
    """Find people's poses with ENGINE: an engine folder, an ONNX file, or a zoo name (lite).

    Without an output, one line of JSON per frame is printed. A zoo name or an ONNX file is built into the cache at its
    first use (see edgepose cache). Exit code 1 when files of a folder were skipped or one of several sources failed.

    {source} in the name of an output is the name of the source. With several sources, names without it get -NAME before
    the suffix: poses.json becomes poses-clip.json. On standard output (-) only --out-jsonl takes several sources.
    --overwrite replaces a folder only where it holds nothing but results of the same source.

    \b
    Examples:
      edgepose run lite --source photo.jpg
      edgepose run engines/openvino-int8 --source video.mp4 --detector yolox_nano.onnx --out-video poses.mp4
      edgepose run engines/openvino-int8 --source photos --recursive --out-json poses.json
      edgepose run engines/openvino-int8 --source match.mkv --start 1:30 --end 2:00 --out-video poses.mp4
      edgepose run engines/openvino-int8 --source camera:0 --out-jsonl - | my-program
      edgepose run engines/openvino-int8 --source camera:0 --view 8080             (Ctrl-C ends it)
      edgepose run engines/openvino-int8 --source rtsp://hall/live --source rtsp://yard/live --out-csv poses.csv
    """
    chosen = flags.take(RunOptions, given)

    def print_frame(frame: Any, poses: Any) -> None:
        click.echo(json.dumps(frame_record(frame, poses)))

    sinks = () if chosen.places else (print_frame,)
    how: dict[str, Any] = {"overwrite": overwrite, "track": show.track, "note": show.note}
    result = run(engine, source=sources, options=chosen, sinks=sinks, **how)
    for one in result.sources:
        show.note(f"{one.name}: " * (len(sources) > 1) + counted(one.frames, "frame"))
    show.lines(result.outputs, err=chosen.prints)
    if result.skipped:
        show.fail(f"files that could not be read to their end and were skipped from there: {len(result.skipped)}")
        show.lines(result.skipped, err=True)
    if result.failed:
        show.fail(f"sources that failed: {', '.join(one.name for one in result.failed)}; see the lines above")
    if result.skipped or result.failed:
        click.get_current_context().exit(1)
