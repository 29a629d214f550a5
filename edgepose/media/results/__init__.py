"""Where the results of a run go: one kind of output per file, and one line of `OUTPUTS` each.

An output is declared without importing anything, so that `edgepose run --help` needs no package. Its module has a
function `open_sink(place, about)` that returns a `ResultSink`; `about` is a `RunFacts`. The module of an output that
has an address has a function `check_place(text)` too. `docs/reference/files.md`
describes what each output holds; `record.py` is the schema that all of them share.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgepose._optional import optional
from edgepose._options import option

if TYPE_CHECKING:
    from edgepose.media.results.sink import ResultSink, RunFacts


@dataclass(frozen=True, kw_only=True)
class Output:
    """A kind of output.

    Attributes:
        flag: The flag of the command line.
        what: The help of the flag.
        module: The module with `open_sink`.
        form: "file", "text" (a file that may also be a pipe or `-` for standard output), "folder" or "address".
        metavar: What the help shows for the value; None for a path.
        holds: What the names of the files in a folder end in.
        package: The optional package that the output needs, and the extra that installs it.
        shared: Whether several sources may share it: the module has `open_sinks(place, abouts)` too. Files are never
            shared, only addresses, pipes and standard output.
    """

    flag: str
    what: str
    module: str
    form: str
    metavar: str | None = None
    holds: tuple[str, ...] = ()
    package: tuple[str, str] | None = None
    shared: bool = False


MARKER = "edgepose.info"  # the file by which an output folder is known; Pose2Sim takes every .json for a frame
_HERE = "edgepose.media.results"

# name -> what a user may write; the field of `OutputOptions` is "out_" and the name, for addresses the name alone
OUTPUTS: dict[str, Output] = {
    "video": Output(
        flag="--out-video", form="file", module=f"{_HERE}.overlay",
        what="Video with the poses drawn in (.mp4, .mov, .mkv, .webm, .avi).",
    ),
    "images": Output(
        flag="--out-images", form="folder", module=f"{_HERE}.pictures",
        holds=(".jpg", ".jpeg", ".png", ".bmp", ".webp"),
        what="Folder of pictures with the poses drawn in, one per frame.",
    ),
    "json": Output(
        flag="--out-json", form="text", module=f"{_HERE}.cocojson",
        what="COCO JSON: every frame, every person; - is standard output.",
    ),
    "coco_results": Output(
        flag="--out-coco-results", form="text", module=f"{_HERE}.cocoresults",
        what="COCO keypoint results: a plain list of people, for loadRes of pycocotools.",
    ),
    "jsonl": Output(
        flag="--out-jsonl", form="text", module=f"{_HERE}.jsonlines", shared=True,
        what="JSON Lines: one line per frame, written at once; - is standard output.",
    ),
    "csv": Output(
        flag="--out-csv", form="text", module=f"{_HERE}.csvtable",
        what="Table with one row per person; - is standard output.",
    ),
    "parquet": Output(
        flag="--out-parquet", form="file", module=f"{_HERE}.parquet", package=("pyarrow", "parquet"),
        what="The same table as Parquet (extra: parquet).",
    ),
    "openpose": Output(
        flag="--out-openpose", form="folder", module=f"{_HERE}.openpose", holds=("_keypoints.json",),
        what="Folder of OpenPose JSON files, one per frame (BODY_25), as Pose2Sim reads them.",
    ),
    "trc": Output(
        flag="--out-trc", form="folder", module=f"{_HERE}.trc", holds=(".trc",),
        what="Folder of marker trajectories for OpenSim, one TRC file per person, in pixels.",
    ),
    "mot": Output(
        flag="--out-mot", form="folder", module=f"{_HERE}.mot", holds=(".mot",),
        what="Folder of joint angles in the image plane for OpenSim, one MOT file per person.",
    ),
    "mot_challenge": Output(
        flag="--out-mot-challenge", form="text", module=f"{_HERE}.motchallenge",
        what="Boxes and track ids as MOT challenge text.",
    ),
    "mqtt": Output(
        flag="--mqtt", form="address", module=f"{_HERE}.mqtt", package=("paho.mqtt.client", "mqtt"),
        metavar="mqtt://HOST[:PORT]/TOPIC", what="Publish one JSON message per frame (extra: mqtt).",
    ),
    "view": Output(
        flag="--view", form="address", module="edgepose.view.live", metavar="[HOST:]PORT", shared=True,
        what="Show the run on a page, http://localhost:PORT; other machines see it only where HOST is given.",
    ),
}  # fmt: skip


def output(name: str) -> Any:
    """Declare the field of an option dataclass for an output of `OUTPUTS`."""
    declared = OUTPUTS[name]
    places = {"folders": True} if declared.form == "folder" else {}
    return option(None, declared.flag, declared.what, metavar=declared.metavar, **places)


def field_of(name: str) -> str:
    """Return the name of the option field of an output."""
    return name if OUTPUTS[name].form == "address" else f"out_{name}"


def check_package(name: str) -> None:
    """Raise MissingPackage where the optional package of an output is not installed."""
    package = OUTPUTS[name].package
    if package is not None:
        optional(package[0], package[1])


def check_address(name: str, text: str) -> None:
    """Raise UsageError where the text is no address of the output."""
    importlib.import_module(OUTPUTS[name].module).check_place(text)


def open_sink(name: str, place: Any, about: RunFacts) -> ResultSink:
    """Open an output.

    Args:
        name: A key of `OUTPUTS`.
        place: The path of a file or folder; for addresses the text.
        about: What is known of the run.

    Returns:
        The sink, which is a context manager.

    Raises:
        UsageError: The place is not possible.
        EdgeposeError: The place cannot be written to.
        MissingPackage: The optional package of the output is not installed.
    """
    opened: ResultSink = importlib.import_module(OUTPUTS[name].module).open_sink(place, about)
    return opened


def open_sinks(name: str, place: Any, abouts: Sequence[RunFacts]) -> list[ResultSink]:
    """Open an output that several sources share.

    Args:
        name: A key of `OUTPUTS` whose output is `shared`.
        place: As in `open_sink`.
        abouts: What is known of the run of each source.

    Returns:
        A sink for each source. Each may be used in a thread of its own.

    Raises:
        EdgeposeError: As `open_sink`.
    """
    opened: list[ResultSink] = importlib.import_module(OUTPUTS[name].module).open_sinks(place, abouts)
    return opened
