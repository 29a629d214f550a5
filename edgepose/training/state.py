"""The state of a training run, and how it is saved to last.pt and restored from it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgepose._files import sha256_file
from edgepose.datasets.samples import PoseData, counted
from edgepose.errors import ModelError, UsageError, one_line
from edgepose.training.checkpoint import Checkpoint, load_checkpoint
from edgepose.training.recipe import Recipe


@dataclass
class State:
    """Everything that changes during a run.

    Attributes:
        model: The network that is trained.
        average: The EMA of its weights, which is validated and saved as the result.
        optimizer: The optimizer.
        scaler: Scales the loss for float16 autocast.
        origin: The inputs of the run, see `origin_of`.
        epoch: The number of completed epochs.
        batch: The number of completed batches of the current epoch.
        step: The number of completed steps of the run.
        loss_sum: The sum of the losses of the current epoch.
        best: The highest PCK so far, or -1.
    """

    model: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    origin: dict[str, Any]
    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best: float = -1.0

    def count(self, loss: float) -> None:
        """Count a completed batch."""
        self.loss_sum, self.batch, self.step = self.loss_sum + loss, self.batch + 1, self.step + 1

    def next_epoch(self) -> None:
        """Count a completed epoch."""
        self.epoch, self.batch, self.loss_sum = self.epoch + 1, 0, 0.0

    def network(self, recipe: Recipe) -> Checkpoint:
        """Return the averaged network alone, the content of best.pt."""
        training = {"origin": self.origin}
        return Checkpoint(model=recipe.model, spec=recipe.spec(), weights=self.average.state_dict(), training=training)

    def resumable(self, recipe: Recipe) -> Checkpoint:
        """Return everything that is needed to continue the run, the content of last.pt."""
        training = {
            "recipe": recipe.to_json(),
            "origin": self.origin,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "counters": [self.epoch, self.batch, self.step],
            "measures": [self.loss_sum, self.best],
            "generator": torch.get_rng_state(),
        }
        device = _device(self.model)
        if device.type == "cuda":  # dropout uses the generator of the GPU
            training["cuda_generator"] = torch.cuda.get_rng_state(device)
        return Checkpoint(model=recipe.model, spec=recipe.spec(), weights=self.average.state_dict(), training=training)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state from a checkpoint that `resumable` returned."""
        training = checkpoint.training
        self.model.load_state_dict(training["model"])
        self.average.load_state_dict(checkpoint.weights)
        self.optimizer.load_state_dict(training["optimizer"])
        self.scaler.load_state_dict(training["scaler"])
        self.epoch, self.batch, self.step = training["counters"]
        self.loss_sum, self.best = training["measures"]
        torch.set_rng_state(training["generator"])
        device = _device(self.model)
        if device.type == "cuda" and "cuda_generator" in training:
            torch.cuda.set_rng_state(training["cuda_generator"], device)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def origin_of(
    recipe: Recipe, data: Sequence[PoseData], validation: Sequence[PoseData], world: int, start: Path | None
) -> dict[str, Any]:
    """Return the inputs of a run as JSON. Every checkpoint contains them.

    Args:
        recipe: The recipe.
        data: The training data.
        validation: The validation data.
        world: The number of processes.
        start: The checkpoint with the initial weights, or None.
    """
    return {
        "recipe": recipe.to_json(),
        "data": [part.name for part in data],
        "people": [len(counted(part)) for part in data],
        "validation": [part.name for part in validation],
        "processes": world,
        "teacher_sha256": [sha256_file(path) for path in recipe.teacher_files()],
        "start_sha256": None if start is None else sha256_file(start),
    }


def new_state(recipe: Recipe, model: nn.Module, origin: dict[str, Any]) -> State:
    """Return the state before the first step.

    Args:
        recipe: The recipe.
        model: The network, on its device and with its frozen layers.
        origin: The inputs of the run, see `origin_of`.
    """
    return State(
        model=model,
        average=copy.deepcopy(model).eval().requires_grad_(False),
        optimizer=_optimizer(recipe, model),
        scaler=torch.amp.GradScaler(_device(model).type, enabled=recipe.amp == "fp16"),
        origin=origin,
    )


def resume(state: State, recipe: Recipe, last: Path) -> None:
    """Restore the state of a run from its last checkpoint. The origin of the run is kept.

    Args:
        state: The new state of a run with the same recipe and data.
        recipe: The recipe.
        last: The path of last.pt.

    Raises:
        UsageError: The recipe, the number of people in the data or the number of processes differs.
        ModelError: The file is damaged, or it has no training state.
    """
    checkpoint = load_checkpoint(last)
    old, new = checkpoint.training.get("recipe"), recipe.to_json()
    if not isinstance(old, dict):
        raise ModelError(f"{last} holds a network but no training state; start a new run from it with --start")
    # Data may have moved, so paths are not compared. A key that the checkpoint lacks is newer than it, and has had its
    # default.
    defaults = Recipe(model=recipe.model).to_json()
    compared = {*old, *new} - {"teacher", "teacher_network"}
    changed = sorted(key for key in compared if old.get(key, defaults.get(key)) != new.get(key))
    if changed:
        raise UsageError(f"{last} was trained with another recipe ({', '.join(changed)} differ); choose another --out")
    begun = checkpoint.training.get("origin", {})
    for key, absent in (("people", None), ("processes", None), ("teacher_sha256", [])):
        if begun.get(key, absent) != state.origin[key]:
            raise UsageError(
                f"{last} was trained with {key} = {begun.get(key, absent)}, this run has {key} = {state.origin[key]}; "
                "choose another --out"
            )
    state.origin = begun
    try:
        state.restore(checkpoint)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(
            f"{last} is damaged ({type(error).__name__}: {one_line(error)}); choose another --out"
        ) from error


def _optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """Create AdamW with up to four groups: trunk or head, and matrices (with weight decay) or vectors (without)."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, value in model.named_parameters():
        if value.requires_grad:
            groups.setdefault((name.startswith("trunk."), value.ndim > 1), []).append(value)
    return torch.optim.AdamW(
        [_group(recipe, trunk, matrix, values) for (trunk, matrix), values in groups.items()], lr=recipe.lr
    )


def _group(recipe: Recipe, trunk: bool, matrix: bool, values: list[nn.Parameter]) -> dict[str, Any]:
    return {
        "params": values,
        "full_lr": recipe.lr * (recipe.trunk_lr if trunk else 1.0),
        "weight_decay": recipe.weight_decay if matrix else 0.0,
    }
