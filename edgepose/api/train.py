"""Train a network by a recipe."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose._leftovers import only_one
from edgepose._optional import optional
from edgepose._options import option
from edgepose._progress import Note, Track, quiet, silent
from edgepose.api.quantized import DEFAULT, QuantizedOptions, QuantizedResult, tune_quantized
from edgepose.errors import UsageError

if TYPE_CHECKING:
    from edgepose.datasets.samples import PoseData


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How to train.

    Attributes:
        start: A checkpoint whose weights to begin with; with `quantized`, the ONNX file that the scales belong to.
        resume: Whether to continue from OUT/last.pt.
        teacher: Files with the joints that a teacher network found; they replace `teacher` of the recipe.
        check: Whether to read every image and label before the first step.
        workers: Number of processes that read and crop images.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads of torch; 0 lets torch choose.
    """

    start: Path | None = option(
        None, "--start", "A checkpoint whose weights to begin with; with --quantized an ONNX file.", exists=True
    )
    resume: bool = option(False, "--resume", "Continue from OUT/last.pt.")
    teacher: tuple[str, ...] = option(
        (), "--teacher", "JSON file with a teacher's joints for --data, repeatable; replaces `teacher` of the recipe."
    )
    check: bool = option(False, "--check", "Read every image and label before the first step.")
    workers: int = option(2, "--workers", "Processes that read and crop images.", min=0)
    device: str = option("auto", "--device", "auto, cpu or cuda.")
    threads: int = option(0, "--threads", "CPU threads of torch; 0 lets torch choose.", min=0)


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What training wrote.

    Attributes:
        best: The checkpoint of the best epoch.
        last: The checkpoint of the last epoch, from which training can resume.
        log: The CSV file with one row per epoch.
    """

    best: Path
    last: Path
    log: Path


def train(
    recipe: str | Path | None,
    *,
    data: Sequence[str],
    out: str | Path,
    validation: Sequence[str] = (),
    options: TrainingOptions = TrainingOptions(),
    quantized: QuantizedOptions = DEFAULT,
    track: Track = quiet,
    note: Note = silent,
) -> TrainResult | QuantizedResult:
    """Train a network on labeled images, or fine-tune an ONNX file for INT8 (`quantized`).

    Args:
        recipe: Name of a recipe that ships with edgepose, or a .toml file. Only fine-tuning works without one.
        data: Training sets as KIND:PATH[:SPLIT]; a set that is named twice counts twice.
        out: Folder of checkpoints and the log.
        validation: Sets that choose the best epoch; never the test set.
        options: Start, resumption, device and number of processes.
        quantized: The scales.json to fine-tune for, and how; without one, a network is trained.
        track: Shows the progress.
        note: Receives lines about labels that look wrong.

    Returns:
        The files of the run.

    Raises:
        UsageError: The recipe is unknown or the options do not fit together.
        DataError: An image or a label cannot be used.
        MissingPackage: torch is not installed.

    Examples:
        >>> train("lite-128", data=["lsp:LSP:fit"], validation=["lsp:LSP:val"], out="runs/lite").best
        PosixPath('runs/lite/best.pt')
    """
    if quantized.quantized is not None:
        return _tuned(recipe, data, out, validation, options, quantized, track, note)
    if recipe is None or quantized != DEFAULT:
        wanted = "name a recipe, such as lite-128" if recipe is None else "--epochs, --batch and --lr are in the recipe"
        raise UsageError(f"{wanted}, or give --quantized SCALES to fine-tune an ONNX file for INT8")
    optional("torch")
    from edgepose.datasets.check import check_labels
    from edgepose.datasets.doubts import note_doubts
    from edgepose.datasets.open import open_data
    from edgepose.training.loop import TrainOptions
    from edgepose.training.loop import train as run_training
    from edgepose.training.recipe import read_recipe

    folder = Path(out)
    chosen = read_recipe(str(recipe))
    if options.teacher:
        if chosen.codec == "onestage":
            raise UsageError(
                "--teacher is for networks with joints; name a person detector as teacher_network in the recipe"
            )
        chosen = replace(chosen, teacher=options.teacher)
    parts: list[PoseData] = [open_data(text) for text in data]
    held_out: list[PoseData] = [open_data(text) for text in validation]
    for part in (*parts, *held_out):
        note_doubts(part, note)
        if options.check:
            check_labels(part, track)
    if chosen.labels_people:
        from edgepose.api.teach_people import teach_people

        taught = teach_people([*parts, *held_out], Path(chosen.teacher_network), folder, chosen.teacher_sure, track)
        parts, held_out = [*taught[: len(parts)]], [*taught[len(parts) :]]
    given = TrainOptions(
        out=folder,
        start=options.start,
        resume=options.resume,
        workers=options.workers,
        device=options.device,
        threads=options.threads,
    )
    first = os.environ.get("RANK", "0") == "0"  # under torchrun, one process writes
    with only_one(folder, "training") if first else contextlib.nullcontext():
        best = run_training(chosen, parts, held_out, given, track)
    return TrainResult(best=best, last=folder / "last.pt", log=folder / "log.csv")


def _tuned(
    recipe: str | Path | None,
    data: Sequence[str],
    out: str | Path,
    validation: Sequence[str],
    options: TrainingOptions,
    quantized: QuantizedOptions,
    track: Track,
    note: Note,
) -> QuantizedResult:
    if options.teacher or options.check:
        raise UsageError("--teacher and --check are for training by a recipe; leave them out with --quantized")
    assert quantized.quantized is not None
    result = tune_quantized(
        quantized.quantized,
        data=data,
        out=out,
        start=options.start,
        recipe=recipe,
        validation=validation,
        options=quantized,
        resume=options.resume,
        workers=options.workers,
        device=options.device,
        threads=options.threads,
        track=track,
        note=note,
    )
    note(result.describe())
    return result
