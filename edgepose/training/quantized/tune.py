"""The loop of quantization-aware fine-tuning. All of it is visible in `tune`, as in `training.loop`."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgepose._progress import Note, Track, quiet, silent
from edgepose.datasets.samples import PoseData, counted
from edgepose.datasets.torch_feed import CropItems, Items, batches, in_order
from edgepose.errors import EdgeposeError, ModelError, UsageError, one_line
from edgepose.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from edgepose.training.distributed import Processes
from edgepose.training.interrupt import StopRequest
from edgepose.training.objectives import Objective
from edgepose.training.quantized.agreement import as_tuple, relative_error, validation_error
from edgepose.training.quantized.log import Row, write_log
from edgepose.training.quantized.network import GraphNetwork
from edgepose.training.quantized.people import MOST, mild, refuse_few
from edgepose.training.quantized.start import Start
from edgepose.training.quantized.task import task_of
from edgepose.training.recipe import Recipe

MODEL = "quantized"  # the `model` of its checkpoints
CLIP = 1.0  # maximum norm of the gradient
WARM = 0.1  # part of the run in which the learning rates grow: the first steps of Adam are as large as its rate


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """How to fine-tune.

    Attributes:
        out: The folder of the run.
        epochs: Passes over the training people.
        batch: People in a step.
        lr: Learning rate of the weights after the warm-up; it falls to zero along a cosine.
        scale_lr: Learning rate of the base-2 logarithms of activation scales.
        task: Share of the loss on labels where a recipe is given; the rest is agreement with the float network.
        seed: Seed of the order and the augmentation.
        resume: Whether to continue from out/last.pt.
        workers: Processes that read and crop images.
        device: "auto", "cpu", "cuda" or "cuda:N".
        threads: CPU threads of torch; 0 lets torch choose.
    """

    out: Path
    epochs: int = 5
    batch: int = 16
    lr: float = 1e-5
    scale_lr: float = 1e-3
    task: float = 0.2
    seed: int = 1
    resume: bool = False
    workers: int = 2
    device: str = "auto"
    threads: int = 0

    def of_result(self) -> dict[str, Any]:
        """Return the options that the result depends on; a resumed run must have the same."""
        return {name: getattr(self, name) for name in ("epochs", "batch", "lr", "scale_lr", "task", "seed")}


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The result of a fine-tuning.

    Attributes:
        network: The network with the weights and scales of the best epoch.
        before: `relative_error` on the validation people at the start.
        after: The same of the best epoch.
    """

    network: GraphNetwork
    before: float
    after: float


@dataclass(kw_only=True)
class _State:
    network: GraphNetwork
    optimizer: torch.optim.Optimizer
    origin: dict[str, Any]
    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best: dict[str, Tensor] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def training(self) -> dict[str, Any]:
        """Return everything that is needed to continue, without the weights."""
        return {
            "origin": self.origin,
            "optimizer": self.optimizer.state_dict(),
            "counters": [self.epoch, self.batch, self.step],
            "loss_sum": self.loss_sum,
            "best": self.best,
            "rows": [[row.epoch, row.loss, row.error, row.seconds] for row in self.rows],
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore what `training` and the weights of a checkpoint say."""
        held = checkpoint.training
        self.network.load_state_dict(checkpoint.weights)
        self.optimizer.load_state_dict(held["optimizer"])
        self.epoch, self.batch, self.step = held["counters"]
        self.loss_sum, self.best = held["loss_sum"], held["best"]
        self.rows = [Row(epoch=int(row[0]), loss=row[1], error=row[2], seconds=row[3]) for row in held["rows"]]


def tune(
    start: Start,
    data: Sequence[PoseData],
    validation: Sequence[PoseData],
    options: TuneOptions,
    recipe: Recipe | None = None,
    track: Track = quiet,
    note: Note = silent,
) -> Tuned:
    """Fine-tune a network until it agrees with the float one when quantized, and return the best of all epochs.

    `matched.py` says which tensors are compared. The start is a candidate too, so the result never agrees less on the
    validation people than the start. Ctrl-C writes last.pt, from which the run can be resumed with the same result, and
    raises KeyboardInterrupt.

    Args:
        start: The float network and how it is quantized.
        data: The people to train on.
        validation: The people that choose the best epoch, of other images.
        options: How to fine-tune.
        recipe: The recipe of the network, for its augmentation and its loss on labels; None for neither.
        track: Shows the progress.
        note: Receives a line about a recipe whose loss cannot be used.

    Returns:
        The network with the weights and scales of the best epoch, and its error before and after.

    Raises:
        UsageError: There are too few people, or the options contradict the files in `out`.
        ModelError: The graph has an operator that is not known.
        EdgeposeError: The loss is no longer finite.
    """
    people = sum(len(counted(part)) for part in data)
    refuse_few(people, sum(len(counted(part)) for part in validation), options.batch, start.spec)
    with Processes(options.device) as processes, StopRequest() as stop:
        device = processes.device
        if options.threads:
            torch.set_num_threads(options.threads)
        torch.manual_seed(options.seed)
        state = _state(start, options, people, recipe, device)
        teacher = start.teacher().to(device)
        objective = _objective(start, recipe, options, state.network, note)
        crops, wanted = _validation(start, validation, teacher, options, device, track)
        if not state.rows:
            _end_epoch(state, validation_error(state.network, crops, wanted), math.nan, 0.0, options)
        total = options.epochs * (people // options.batch)
        while state.epoch < options.epochs:
            items = _items(start, data, objective, recipe, options.seed, state.epoch)
            feed, count = batches(items, options.batch, workers=options.workers, skip=state.batch)
            label, begun = f"fine-tune, epoch {state.epoch + 1}/{options.epochs}", time.perf_counter()
            with contextlib.closing(feed):
                for images, *target in track(feed, label, count - state.batch):
                    _schedule(state.optimizer, (state.step + 1) / total)
                    images = _on(device, images)
                    loss = _step(state, teacher, images, [part.to(device) for part in target], objective, options.task)
                    if not math.isfinite(loss):
                        raise EdgeposeError(
                            f"the loss is no longer finite (here {loss}); start again with a lower --lr"
                        )
                    state.batch, state.step, state.loss_sum = state.batch + 1, state.step + 1, state.loss_sum + loss
                    if stop.asked:
                        _save(state, start, options)
                        raise stop.error()
            state.epoch, state.batch = state.epoch + 1, 0
            error, seconds = validation_error(state.network, crops, wanted), time.perf_counter() - begun
            _end_epoch(state, error, state.loss_sum / count, seconds, options)
            state.loss_sum = 0.0
            _save(state, start, options)
        state.network.load_state_dict(state.best)
    errors = [row.error for row in state.rows]
    return Tuned(network=state.network, before=errors[0], after=min(errors))


def _state(start: Start, options: TuneOptions, people: int, recipe: Recipe | None, device: torch.device) -> _State:
    last = options.out / "last.pt"
    if last.exists() != options.resume:
        raise UsageError(
            f"{last} exists; pass --resume to continue that run, or choose another --out"
            if last.exists()
            else f"cannot resume: {last} does not exist; start without --resume"
        )
    network = start.student().to(device)
    groups = [
        {"params": network.weight_parameters(), "full_lr": options.lr},
        {"params": [network.log2_factors], "full_lr": options.scale_lr},
    ]
    origin = {"onnx_sha256": start.onnx_sha256, "people": people, "recipe": recipe.to_json() if recipe else None}
    state = _State(network=network, optimizer=torch.optim.Adam(groups), origin=origin | options.of_result())
    if options.resume:
        _resume(state, last)
    return state


def _resume(state: _State, last: Path) -> None:
    checkpoint = load_checkpoint(last)
    begun = checkpoint.training.get("origin", {})
    changed = sorted(key for key, value in state.origin.items() if begun.get(key) != value)
    if checkpoint.model != MODEL or changed:
        what = ", ".join(changed) or "it is no fine-tuning"
        raise UsageError(f"{last} is of another run ({what}); choose another --out")
    try:
        state.restore(checkpoint)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(
            f"{last} is damaged ({type(error).__name__}: {one_line(error)}); choose another --out"
        ) from error


def _save(state: _State, start: Start, options: TuneOptions) -> None:
    weights, training = state.network.state_dict(), state.training()
    save_checkpoint(
        options.out / "last.pt", Checkpoint(model=MODEL, spec=start.spec, weights=weights, training=training)
    )


def _end_epoch(state: _State, error: float, loss: float, seconds: float, options: TuneOptions) -> None:
    """Keep the weights of the epoch if it agrees most, and write its row of log.csv."""
    if not state.rows or error < min(row.error for row in state.rows):
        state.best = {name: value.detach().clone() for name, value in state.network.state_dict().items()}
    state.rows.append(Row(epoch=state.epoch, loss=loss, error=error, seconds=seconds))
    write_log(options.out / "log.csv", state.rows)


def _objective(
    start: Start, recipe: Recipe | None, options: TuneOptions, network: nn.Module, note: Note
) -> Objective | None:
    if recipe is None or not options.task:
        return None
    if start.matched != start.spec.outputs:
        note("the network chooses from its maps by itself, so labels give no gradient; they are not used")
        return None
    found = task_of(recipe, start.spec, network)
    if found is None:
        note(f"loss {recipe.loss!r} of codec {recipe.codec!r} needs the training network; labels are not used")
    return found


def _items(
    start: Start, data: Sequence[PoseData], objective: Objective | None, recipe: Recipe | None, seed: int, epoch: int
) -> Items:
    size = start.spec.input.size
    if objective is not None and recipe is not None:
        return objective.items(data, recipe, size, epoch)
    return CropItems(data, start.spec, size, seed, epoch, recipe.augment() if recipe else mild())


def _validation(
    start: Start,
    data: Sequence[PoseData],
    teacher: GraphNetwork,
    options: TuneOptions,
    device: torch.device,
    track: Track,
) -> tuple[list[Tensor], list[tuple[Tensor, ...]]]:
    """Return the validation crops in batches, and the outputs of the float network for them."""
    items = CropItems(data, start.spec, start.spec.input.size, 0, 0, None)
    items.people = items.people[:: -(-len(items.people) // MOST)]
    with contextlib.closing(in_order(items, options.batch, workers=options.workers)) as feed:
        crops = [_on(device, images) for (images,) in track(feed, "validation people", None)]
    with torch.inference_mode():
        return crops, [as_tuple(teacher(batch)) for batch in crops]


def _on(device: torch.device, images: Tensor) -> Tensor:
    """Return images on a device, in the memory format in which depthwise convolutions are fast on a CPU."""
    layout = torch.channels_last if images.ndim == 4 else torch.preserve_format
    return images.to(device, memory_format=layout)


def _schedule(optimizer: torch.optim.Optimizer, progress: float) -> None:
    """Set the learning rates: a linear warm-up, then a cosine to zero."""
    way = (progress - WARM) / (1 - WARM)
    factor = progress / WARM if way < 0 else 0.5 * (1 + math.cos(math.pi * min(way, 1.0)))
    for group in optimizer.param_groups:
        group["lr"] = group["full_lr"] * factor


def _step(
    state: _State,
    teacher: GraphNetwork,
    images: Tensor,
    target: list[Tensor],
    objective: Objective | None,
    task: float,
) -> float:
    """Run one batch: forward, backward and update. Returns the loss."""
    with torch.no_grad():
        wanted = teacher(images)
    found = state.network(images)
    loss = relative_error(found, wanted)
    if objective is not None:
        labels = objective.loss(lambda crops: found, images, target)  # type: ignore[arg-type]
        loss = (1 - task) * loss + task * labels / _size(wanted)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(state.network.parameters(), CLIP)
    state.optimizer.step()
    return float(loss.detach())


def _size(wanted: Any) -> Tensor:
    """Return the variance of the outputs, by which the agreement is divided too."""
    first = as_tuple(wanted)[0]
    return (first - first.mean(dim=0)).square().mean().clamp(min=1e-12)
