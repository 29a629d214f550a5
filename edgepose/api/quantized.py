"""Fine-tune a network with quantization in the loop, so that its INT8 graph keeps what the float network had."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgepose._leftovers import only_one
from edgepose._optional import optional
from edgepose._options import option
from edgepose._outputs import refuse_existing
from edgepose._progress import Note, Track, quiet, silent
from edgepose.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class QuantizedOptions:
    """How to fine-tune with quantization in the loop.

    Attributes:
        quantized: The scales.json to fine-tune for; training starts from the float ONNX file that it belongs to.
        epochs: Passes over the training people.
        batch: People in a step.
        lr: Learning rate of the weights.
        scale_lr: Learning rate of the activation scales, on their base-2 logarithms.
        task: Share of the loss on labels where a recipe is given; the rest is agreement with the float network.
    """

    quantized: Path | None = option(
        None, "--quantized", "Fine-tune an ONNX file for INT8 with this scales.json; RECIPE is optional then.",
        exists=True,
    )  # fmt: skip
    epochs: int = option(5, "--epochs", "With --quantized: passes over the training people.", min=1)
    batch: int = option(16, "--batch", "With --quantized: people in a step.", min=2)
    lr: float = option(1e-5, "--lr", "With --quantized: learning rate of the weights.", min=0.0)
    scale_lr: float = option(1e-3, "--scale-lr", "With --quantized: learning rate of the scales.", min=0.0)
    task: float = option(
        0.2, "--task-share", "With --quantized and RECIPE: share of the loss on labels.", min=0.0, max=1.0
    )


DEFAULT = QuantizedOptions()


@dataclass(frozen=True, kw_only=True)
class QuantizedResult:
    """What fine-tuning wrote.

    Attributes:
        best: The float ONNX file with the fine-tuned weights.
        scales: The scales.json that belongs to it.
        last: The checkpoint from which fine-tuning can resume.
        log: The CSV file with one row for the start and one per epoch.
        before: Error of the outputs at the start: squared, against the float network, relative to their variance.
        after: The same error of the result.
    """

    best: Path
    scales: Path
    last: Path
    log: Path
    before: float
    after: float

    def describe(self) -> str:
        """Return one line about the error of the outputs."""
        return (
            f"error of the INT8 outputs against the float network, relative to their variance: {self.before:.3g} "
            f"before, {self.after:.3g} after; next: edgepose build {self.best} --scales {self.scales} --precision int8"
        )


def tune_quantized(
    scales: str | Path,
    *,
    data: Sequence[str],
    out: str | Path,
    start: str | Path | None = None,
    recipe: str | Path | None = None,
    validation: Sequence[str] = (),
    options: QuantizedOptions = DEFAULT,
    resume: bool = False,
    workers: int = 2,
    device: str = "auto",
    threads: int = 0,
    track: Track = quiet,
    note: Note = silent,
) -> QuantizedResult:
    """Fine-tune a float network so that its INT8 graph agrees with it. Labels are not needed.

    Args:
        scales: The scales.json of the network.
        data: Training sets as KIND:PATH[:SPLIT], such as images:photos.
        out: Folder of the result, the checkpoint and the log.
        start: The float ONNX file that the scales belong to; by default fp32.onnx in the folder of the scales.
        recipe: The recipe that trained the network, for its augmentation and its loss on labels.
        validation: Sets that choose the best epoch; by default one image in eight of the training sets.
        options: How to fine-tune.
        resume: Whether to continue from OUT/last.pt.
        workers: Number of processes that read and crop images.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads of torch; 0 lets torch choose.
        track: Shows the progress.
        note: Receives warnings.

    Returns:
        The files of the run, and the error before and after.

    Raises:
        CalibrationError: The scales belong to another file.
        UsageError: There are too few people, or the options do not fit together.
        ModelError: The graph has an operator that fine-tuning cannot compute.
        MissingPackage: torch is not installed.

    Examples:
        >>> tune_quantized("engines/scales.json", data=["images:photos"], out="runs/int8").best
        PosixPath('runs/int8/fp32.onnx')
    """
    optional("torch")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # as torchrun sets it
        raise UsageError("fine-tuning for INT8 runs in one process; start it without torchrun")
    from edgepose.artifacts.scales import read_scales
    from edgepose.datasets.open import open_data
    from edgepose.training.quantized.people import divided_by_image
    from edgepose.training.quantized.result import write_result
    from edgepose.training.quantized.start import read_start
    from edgepose.training.quantized.tune import TuneOptions, tune
    from edgepose.training.recipe import read_recipe

    folder, table = Path(out), Path(scales)
    source = _source(table, start)
    refuse_existing(folder / "fp32.onnx", resume, [source, table])
    begun = read_start(source, read_scales(table))
    parts, held = [open_data(text) for text in data], [open_data(text) for text in validation]
    train, chosen = (parts, held) if held else divided_by_image(parts)
    given = TuneOptions(
        out=folder,
        epochs=options.epochs,
        batch=options.batch,
        lr=options.lr,
        scale_lr=options.scale_lr,
        task=options.task,
        resume=resume,
        workers=workers,
        device=device,
        threads=threads,
    )
    with only_one(folder, "training"):
        tuned = tune(begun, train, chosen, given, read_recipe(str(recipe)) if recipe else None, track, note)
        best, learned = write_result(begun, tuned.network, folder)
    log = folder / "log.csv"
    return QuantizedResult(
        best=best, scales=learned, last=folder / "last.pt", log=log, before=tuned.before, after=tuned.after
    )


def _source(scales: Path, start: str | Path | None) -> Path:
    path = scales.parent / "fp32.onnx" if start is None else Path(start)
    if not path.is_file():
        raise UsageError(f"no file {path}; give the float ONNX file that {scales} belongs to: --start FP32.onnx")
    return path
