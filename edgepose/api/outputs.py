"""The outputs of a run: their options, the check of their places, and their sinks.

`edgepose.media.results.OUTPUTS` declares the kinds of output; `OutputOptions` has a field for each.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edgepose._leftovers import only_one
from edgepose._options import paths_of_text
from edgepose._outputs import is_stream, refuse_existing, refuse_existing_folder
from edgepose.errors import UsageError, printable
from edgepose.media.results import (
    MARKER,
    OUTPUTS,
    check_address,
    check_package,
    field_of,
    open_sink,
    open_sinks,
    output,
)

if TYPE_CHECKING:
    from edgepose.media.results.sink import ResultSink, RunFacts
    from edgepose.media.sources import Frame
    from edgepose.pose.poses import Poses

STANDARD_OUTPUT = Path("/dev/stdout")
SOURCE = "{source}"  # in the name of an output, the name of the source

Options = TypeVar("Options", bound="OutputOptions")


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Where results go. A path of `-` is standard output, for outputs that are text.

    `{source}` in a name stands for the name of the source. In a run of several sources, names without it get `-NAME` at
    their end, in front of the suffix; see `outputs_of_source`.

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


def refuse_outputs(
    options: OutputOptions, overwrite: bool, inputs: Sequence[str | Path | None], source: str | None = None
) -> None:
    """Refuse outputs that would replace something, meet each other, or need a package that is not installed.

    Args:
        options: The outputs.
        overwrite: Whether earlier results may be replaced: a file, or a folder that holds nothing but the results of
            one source.
        inputs: What the run reads.
        source: The name of the source, of which a folder may hold earlier results; None allows those of any source.

    Raises:
        UsageError: An output exists or is an input, two outputs are one file, one lies in the folder of another, a
            folder holds what the run would lose, or an address is none.
        EdgeposeError: A folder cannot be written to.
        MissingPackage: An output needs a package that is not installed.
    """
    kept = {path: path.resolve() for path in options.outputs if not is_stream(path)}
    every = [path.resolve() for path in options.outputs if not is_stream(path)]
    twice = next((path for path, place in kept.items() if every.count(place) > 1), None)
    if twice is not None:
        raise UsageError(f"two outputs name the same file, {twice}; give each its own")
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
            _refuse_others_files(folder, OUTPUTS[name].holds, source)
        elif isinstance(place, Path):
            refuse_existing(place, overwrite, inputs)
        else:
            check_address(name, place)


def _refuse_others_files(folder: Path, holds: tuple[str, ...], source: str | None) -> None:
    """Refuse to replace a folder of results that holds other files too, or the results of another source.

    Args:
        folder: A folder that may be replaced, or does not exist.
        holds: What the names of the results end in.
        source: The name of the source; None allows the results of any.
    """
    if not (folder / MARKER).is_file():
        return
    try:
        made_of = json.loads((folder / MARKER).read_bytes()).get("source")
    except (OSError, ValueError, AttributeError):
        made_of = None
    if source is not None and made_of is not None and made_of != source:
        raise UsageError(
            f"{folder} holds the results of {printable(str(made_of))}, which those of {source} would replace; write "
            f"somewhere else, put {SOURCE} into the name, or delete the folder"
        )
    for path in folder.rglob("*"):
        ours = path.name == MARKER or path.name.startswith(".edgepose-") or path.name.lower().endswith(holds)
        if not ours and not (path.is_dir() and not path.is_symlink()):
            raise UsageError(
                f"{folder} would be replaced, and edgepose did not write {path.name} in it; move it, or write "
                "somewhere else"
            )


def outputs_of_source(options: Options, name: str, *, several: bool = False) -> Options:
    """Return the options with the outputs of one source.

    `{source}` in a path or a topic is replaced with the name of the source. In a run of several, the name is added to
    paths without it: `poses.json` becomes `poses-NAME.json`, and the folder `openpose` becomes `openpose-NAME`. MQTT
    messages and JSON Lines name their source, so a topic, standard output and a pipe may be shared; a page always is.

    Args:
        options: Options with outputs.
        name: The name of the source.
        several: Whether the run has several sources.

    Raises:
        UsageError: Several sources would write one output to standard output or to a pipe, and it is not JSON Lines.
    """
    changed: dict[str, Any] = {}
    for kind, place in options.places.items():
        if SOURCE in str(place):
            filled = str(place).replace(SOURCE, name)
            changed[field_of(kind)] = Path(filled) if isinstance(place, Path) else filled
        elif several and isinstance(place, Path) and not is_stream(place):
            stem, suffix = (place.name, "") if OUTPUTS[kind].form == "folder" else (place.stem, place.suffix)
            changed[field_of(kind)] = place.with_name(f"{stem}-{name}{suffix}")
        elif several and isinstance(place, Path) and not OUTPUTS[kind].shared:
            where = "standard output" if place == STANDARD_OUTPUT else place
            raise UsageError(
                f"{OUTPUTS[kind].flag}: {where} cannot hold several sources, as only the lines of --out-jsonl name "
                "theirs; name a file"
            )
    return replace(options, **changed)


def refuse_meetings(several: Sequence[OutputOptions]) -> None:
    """Refuse outputs of several sources that meet each other.

    Args:
        several: The outputs of each source, from `outputs_of_source`.

    Raises:
        UsageError: Two sources have one output, or an output lies in a folder that another source fills.
    """
    seen: dict[Path, Path] = {}
    folders: dict[Path, Path] = {}
    for options in several:
        for kind, place in options.places.items():
            if not isinstance(place, Path) or is_stream(place):
                continue
            real = place.resolve()
            if real in seen:
                raise UsageError(f"two sources would write {place}; put {SOURCE} into the name of the output")
            seen[real] = place
            if OUTPUTS[kind].form == "folder":
                folders[real] = place
    for real, place in seen.items():
        for folder, shown in folders.items():
            if real != folder and real.is_relative_to(folder):
                raise UsageError(f"{place} lies in {shown}, which another output fills; write it elsewhere")


def written(options: OutputOptions) -> tuple[Path, ...]:
    """Return the files and folders that a run left."""
    return tuple(path for path in options.outputs if path.exists() and not is_stream(path))


def frame_record(frame: Frame, poses: Poses) -> dict[str, Any]:
    """Return a frame and its people as a value for JSON: what a line of JSON Lines holds."""
    from edgepose.media.results import record

    return record.frame_record(frame, poses)


@contextlib.contextmanager
def open_outputs(
    options: OutputOptions, about: RunFacts, *, leave_out: Sequence[str] = ()
) -> Iterator[list[ResultSink]]:
    """Open the outputs that were asked for, and complete them at the end of the block, whatever ends it.

    Args:
        options: The outputs.
        about: What is known of the run.
        leave_out: The names of outputs that are opened otherwise.

    Yields:
        The sinks, in the order of `OUTPUTS`.

    Raises:
        EdgeposeError: Another run is writing into a folder, or an output cannot be written.
    """
    with contextlib.ExitStack() as stack:
        places = {name: place for name, place in options.places.items() if name not in leave_out}
        for name, place in places.items():
            if OUTPUTS[name].form == "folder":
                stack.enter_context(only_one(Path(place), "run"))  # else two runs would delete each other's files
        yield [stack.enter_context(open_sink(name, place, about)) for name, place in places.items()]


def open_shared(several: Sequence[OutputOptions], abouts: Sequence[RunFacts]) -> list[dict[str, ResultSink]]:
    """Open the outputs that several sources share: a page, and JSON Lines on standard output or in a pipe.

    Args:
        several: The outputs of each source.
        abouts: What is known of the run of each source.

    Returns:
        For each source the sinks by the names of the outputs. The caller closes them.
    """
    found: list[dict[str, ResultSink]] = [{} for _ in several]
    for name, place in several[0].places.items():
        if OUTPUTS[name].shared and (not isinstance(place, Path) or is_stream(place)):
            for mine, sink in zip(found, open_sinks(name, place, abouts), strict=True):
                mine[name] = sink
    return found
