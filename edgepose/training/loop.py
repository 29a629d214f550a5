"""The training loop. All of it is visible in `train`: there are no hooks and no callbacks.

The result of a run depends only on its recipe, its data and the number of processes. The order of the samples, the
crops and the colors follow from (seed, epoch, index), and `last.pt` holds everything else (weights, EMA, optimizer,
step). A run that was stopped and resumed therefore has the same result as an uninterrupted one.

To use several GPUs, start `torchrun --nproc-per-node N -m edgepose train ...`. The processes divide the batch of the
recipe, and rank 0 logs the loss of its share.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgepose._progress import Track, quiet
from edgepose.datasets.samples import PoseData, counted
from edgepose.datasets.teacher import read_teacher, taught
from edgepose.datasets.torch_feed import batches, divided
from edgepose.errors import EdgeposeError, UsageError
from edgepose.training.checkpoint import create_for, load_weights, save_checkpoint
from edgepose.training.distributed import Processes
from edgepose.training.interrupt import StopRequest
from edgepose.training.log import Epoch, RunLog
from edgepose.training.objectives import Objective, objective_of
from edgepose.training.recipe import Recipe
from edgepose.training.schedule import Schedule, update_average
from edgepose.training.state import State, new_state, origin_of, resume
from edgepose.training.validate import check_validation, validate


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options that say where and how a run is executed. Except for `start`, they change the result only by rounding.

    Attributes:
        out: The folder of the run.
        start: A checkpoint with the initial weights. A resumed run does not read it.
        resume: Whether to continue from out/last.pt.
        workers: The number of processes that load data.
        device: "auto", "cpu", "cuda" or "cuda:N".
        threads: The number of CPU threads; 0 for PyTorch's default.
        save_every: The number of steps between two writes of last.pt within an epoch.
        save_seconds: The longest time between two writes of last.pt, in seconds, if a step takes less.
        channels_last: Whether to store images and weights in the channels-last memory format.
    """

    out: Path
    start: Path | None = None
    resume: bool = False
    workers: int = 2
    device: str = "auto"
    threads: int = 0
    save_every: int = 100
    save_seconds: float = 240.0
    channels_last: bool = True


def train(
    recipe: Recipe,
    data: Sequence[PoseData],
    validation: Sequence[PoseData],
    options: TrainOptions,
    track: Track = quiet,
) -> Path:
    """Train a network, and write last.pt (which can be resumed), best.pt and log.csv to `options.out`.

    `best.pt` is the EMA of the epoch with the highest PCK@0.2 on `validation` (for person detectors, AP50), or of the
    last epoch without validation data. If a network learns its steps one after another, only epochs that train all of
    them are candidates. Ctrl-C in any process writes a last.pt that can be resumed, and raises KeyboardInterrupt in all
    processes.

    Args:
        recipe: The recipe of the run.
        data: The training data.
        validation: The validation data; may be empty.
        options: Where and how to run.
        track: Reports progress.

    Returns:
        The path of best.pt.

    Raises:
        UsageError: The options contradict the files in `out`, or the data does not fit the recipe.
        ModelError: `start` is a checkpoint of another network.
        EdgeposeError: The loss is no longer finite.
    """
    data = taught(data, [read_teacher(Path(path)) for path in recipe.teacher], recipe.spec().skeleton, recipe.blend())
    with Processes(options.device) as processes, StopRequest() as stop:
        schedule = Schedule(recipe, _steps(recipe, data, processes.world))
        check_validation(validation, recipe.spec())
        origin = origin_of(recipe, data, validation, processes.world, options.start)
        state = _start(recipe, options, processes.device, origin)
        runner = processes.sharing(state.model)
        log = RunLog(options.out) if processes.writes else None
        stages = recipe.stages()
        while state.epoch < len(stages):
            size, batch, sigma = stages[state.epoch]
            objective = objective_of(recipe, state.model, size, sigma)
            items = objective.items(data, recipe, size, state.epoch)
            share = {"rank": processes.rank, "world": processes.world}
            feed, count = batches(items, batch, workers=options.workers, skip=state.batch, **share)
            label = f"epoch {state.epoch + 1}/{len(stages)} at {size[0]}x{size[1]}"
            begun, first = time.perf_counter(), state.batch
            saved = begun
            state.model.train()
            with contextlib.closing(feed):
                for crops, *target in track(feed, label, count - first):
                    schedule.apply(state.optimizer, state.step)
                    crops = crops.to(processes.device, memory_format=_layout(options), non_blocking=True)
                    loss = _step(runner, state, recipe, objective, crops, target, schedule.progress(state.step))
                    stopping, lost = processes.anywhere(stop.asked, not math.isfinite(loss))
                    if lost:
                        raise _lost(loss, state, options)
                    update_average(state.average, state.model, schedule.decay(state.step))
                    state.count(loss)
                    late = time.perf_counter() - saved >= options.save_seconds
                    due = (late or state.batch % options.save_every == 0) and state.batch < count
                    if (stopping or due) and processes.writes:
                        save_checkpoint(options.out / "last.pt", state.resumable(recipe))
                        saved = time.perf_counter()
                    if stopping:
                        processes.wait()  # torchrun stops all processes when one exits; rank 0 must write first
                        raise stop.error()
            seconds = time.perf_counter() - begun
            if log is not None:
                score = _validate(state, recipe, validation, size, objective, options)
                done = Epoch(
                    epoch=state.epoch + 1,
                    size=size,
                    lr=schedule.lr(state.step - 1),
                    loss=state.loss_sum / count,
                    score=score,
                    seconds=seconds,
                    images_per_second=(count - first) * batch / seconds,
                    measure=objective.measure,
                )
                _save_best(state, recipe, score, options, schedule.progress(state.step) > objective.whole_from)
                log.add(done, state.step)
            state.next_epoch()
            if processes.writes:
                save_checkpoint(options.out / "last.pt", state.resumable(recipe))
        processes.wait()
    return options.out / "best.pt"


def _steps(recipe: Recipe, data: Sequence[PoseData], world: int) -> int:
    """Return the number of steps of the run. UsageError if the data or the processes cannot fill the batches."""
    for batch in recipe.batch:
        divided(batch, world)
    people = sum(len(counted(part)) for part in data)
    if people < max(recipe.batch):
        raise UsageError(
            f"the data has {people} labeled people, but a batch needs {max(recipe.batch)}; add data, or lower batch "
            "in the recipe"
        )
    return sum(people // batch for _, batch, _ in recipe.stages())


def _start(recipe: Recipe, options: TrainOptions, device: torch.device, origin: dict[str, Any]) -> State:
    """Return the initial or the resumed state. Sets the threads and the random generator of torch."""
    _check_out(options)
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(recipe.seed)
    spec = recipe.spec()
    empty = not options.resume and options.start is None
    model = create_for(recipe.model, spec, imagenet=recipe.imagenet and empty)
    if options.start is not None and not options.resume:
        load_weights(model, recipe.model, spec, options.start)
    model = model.to(device, memory_format=_layout(options))  # type: ignore[call-overload]
    if recipe.freeze:
        from edgepose.models.efficientnet_lite import freeze_early

        freeze_early(model, recipe.freeze)
    state = new_state(recipe, model, origin)
    if options.resume:
        resume(state, recipe, options.out / "last.pt")
    return state


def _check_out(options: TrainOptions) -> None:
    last = options.out / "last.pt"
    if options.resume and not last.exists():
        raise UsageError(f"cannot resume: {last} does not exist; start without --resume")
    if last.exists() and not options.resume:
        raise UsageError(f"{last} exists; pass --resume to continue that run, or choose another --out")
    if (options.out / "best.pt").exists() and not options.resume:
        raise UsageError(f"{options.out / 'best.pt'} exists and would be replaced; choose another --out")


def _layout(options: TrainOptions) -> torch.memory_format:
    return torch.channels_last if options.channels_last else torch.contiguous_format


def _step(
    runner: nn.Module,
    state: State,
    recipe: Recipe,
    objective: Objective,
    crops: Tensor,  # [B, 3, H, W], on the device
    target: Sequence[Tensor],
    progress: float,  # of the training, 0 to 1
) -> float:
    """Run one batch: forward, backward and update. Returns the loss of this process's share of the batch."""
    device = crops.device
    half = torch.bfloat16 if recipe.amp == "bf16" else torch.float16
    with torch.autocast(device.type, half, enabled=recipe.amp != "none"):
        loss = objective.loss(runner, crops, [part.to(device) for part in target], progress)
    state.optimizer.zero_grad(set_to_none=True)
    state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    state.scaler.unscale_(state.optimizer)
    nn.utils.clip_grad_norm_(state.model.parameters(), recipe.clip_grad)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    return float(loss.detach())


def _lost(loss: float, state: State, options: TrainOptions) -> EdgeposeError:
    return EdgeposeError(
        f"the loss is no longer finite (here {loss}) in epoch {state.epoch + 1}, batch {state.batch + 1}; "
        f"{options.out} keeps the last checkpoint. Start a new run with a lower lr or with amp = 'none'"
    )


def _validate(
    state: State,
    recipe: Recipe,
    validation: Sequence[PoseData],
    size: tuple[int, int],
    objective: Objective,
    options: TrainOptions,
) -> float | None:
    """Return the accuracy of the EMA at the size of the stage; None without validation data."""
    if not validation:
        return None
    device = next(state.average.parameters()).device
    return validate(state.average, validation, recipe.training_spec(), size, objective, device, options.workers)


def _save_best(state: State, recipe: Recipe, score: float | None, options: TrainOptions, whole: bool) -> None:
    """Save best.pt if this epoch is the best so far.

    If `whole` is False, parts of the network are not trained yet, so the next epoch replaces this one in any case.
    """
    if score is None or score > state.best:
        state.best = -1.0 if score is None or not whole else score
        save_checkpoint(options.out / "best.pt", state.network(recipe))
