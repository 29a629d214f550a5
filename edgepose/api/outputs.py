"""The outputs of a run: their options, the check of their places, and their sinks.

`edgepose.media.results.OUTPUTS` declares the kinds of output; `OutputOptions` has a field for each.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._options import paths_of_text
from edgepose._outputs import is_stream, refuse_existing, refuse_existing_folder
from edgepose.errors import UsageError
from edgepose.media.results import MARKER, OUTPUTS, check_address, check_package, field_of, open_sink, output

if TYPE_CHECKING:
    from edgepose.media.results.sink import ResultSink, RunFacts
    from edgepose.media.sources import Frame
    from edgepose.pose.poses import Poses

STANDARD_OUTPUT = Path("/dev/stdout")


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Where results go. A path of `-` is standard output, for outputs that are text.

    Attributes:
        out_video: A video with the poses drawn over the frames (.mp4, .mov, .mkv, .webm, .avi).
        out_images: A folder of pictures with the poses drawn over the frames.
        out_json: COCO JSON with every frame and every person.
        out_coco_results: COCO keypoint results, a plain list of people.
        out_jsonl: JSON Lines, one line per frame, written at once.
        out_csv: A table with one row per person.
        out_parquet: The same table as Parquet.
        out_openpose: A folder of OpenPose JSON files.
        out_trc: A folder of marker trajectories for OpenSim, one file per person.
        out_mot: A folder of joint angles for OpenSim, one file per person.
        out_mot_challenge: Boxes and track ids as MOT challenge text.
        mqtt: The address of an MQTT broker and a topic, mqtt://HOST[:PORT]/TOPIC.
        view: [HOST:]PORT of a page that shows the run.
    """

    out_video: Path | None = output("video")
    out_images: Path | None = output("images")
    out_json: Path | None = output("json")
    out_coco_results: Path | None = output("coco_results")
    out_jsonl: Path | None = output("jsonl")
    out_csv: Path | None = output("csv")
    out_parquet: Path | None = output("parquet")
    out_openpose: Path | None = output("openpose")
    out_trc: Path | None = output("trc")
    out_mot: Path | None = output("mot")
    out_mot_challenge: Path | None = output("mot_challenge")
    mqtt: str | None = output("mqtt")
    view: str | None = output("view")

    def __post_init__(self) -> None:
        """Take paths as text too, and `-` as standard output."""
        paths_of_text(self, *(field_of(name) for name, kind in OUTPUTS.items() if kind.form != "address"))
        for name, place in self.places.items():
            if place == Path("-"):
                if OUTPUTS[name].form != "text":
                    raise UsageError(f"{OUTPUTS[name].flag} -: standard output takes text only; name a file or folder")
                object.__setattr__(self, field_of(name), STANDARD_OUTPUT)

    @property
    def places(self) -> dict[str, Path | str]:
        """The outputs that were asked for: the name in `OUTPUTS`, and the path or address."""
        given = {name: getattr(self, field_of(name)) for name in OUTPUTS}
        return {name: place for name, place in given.items() if place is not None}

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The files and folders that a run writes."""
        return tuple(place for place in self.places.values() if isinstance(place, Path))

    @property
    def prints(self) -> bool:
        """Whether an output is standard output."""
        return STANDARD_OUTPUT in self.outputs


def refuse_outputs(options: OutputOptions, overwrite: bool, inputs: Sequence[str | Path | None]) -> None:
    """Refuse outputs that would replace something, meet each other, or need a package that is not installed.

    Args:
        options: The outputs.
        overwrite: Whether earlier results may be replaced.
        inputs: What the run reads.

    Raises:
        UsageError: An output exists or is an input, two outputs are one file, one lies in the folder of another, or an
            address is none.
        EdgeposeError: A folder cannot be written to.
        MissingPackage: An output needs a package that is not installed.
    """
    kept = {path: path.resolve() for path in options.outputs if not is_stream(path)}
    if len(set(kept.values())) < len([path for path in options.outputs if not is_stream(path)]):
        raise UsageError("two outputs name the same file; give each its own")
    if options.outputs.count(STANDARD_OUTPUT) > 1:
        raise UsageError("two outputs name standard output; give one of them a file")
    for name, place in options.places.items():
        check_package(name)
        if OUTPUTS[name].form == "folder":
            folder = Path(place)
            if is_stream(folder):
                raise UsageError(f"{folder} is no folder; name a folder to write")
            for other, real in kept.items():
                if other != folder and real.is_relative_to(kept[folder]):
                    raise UsageError(f"{other} lies in {folder}, which another output fills; write it elsewhere")
            refuse_existing_folder(folder, overwrite, MARKER, inputs)
        elif isinstance(place, Path):
            refuse_existing(place, overwrite, inputs)
        else:
            check_address(name, place)


def written(options: OutputOptions) -> tuple[Path, ...]:
    """Return the files and folders that a run left."""
    return tuple(path for path in options.outputs if path.exists() and not is_stream(path))


def frame_record(frame: Frame, poses: Poses) -> dict[str, Any]:
    """Return a frame and its people as a value for JSON: what a line of JSON Lines holds."""
    from edgepose.media.results import record

    return record.frame_record(frame, poses)


@contextlib.contextmanager
def open_outputs(options: OutputOptions, about: RunFacts) -> Iterator[list[ResultSink]]:
    """Open the outputs that were asked for, and complete them at the end of the block, whatever ends it.

    Args:
        options: The outputs.
        about: What is known of the run.

    Yields:
        The sinks, in the order of `OUTPUTS`.
    """
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(open_sink(name, place, about)) for name, place in options.places.items()]
