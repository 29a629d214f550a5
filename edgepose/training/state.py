"""`State`: everything a run changes as it goes, and its way into last.pt and back."""

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
    """model: what learns. average: the EMA of its weights, which is validated and shipped.

    origin: what the run is made from, see `origin_of`.
    epoch, step: done so far. batch, loss_sum: done so far in this epoch. best: the highest PCK yet.
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
        """One more batch is done."""
        self.loss_sum, self.batch, self.step = self.loss_sum + loss, self.batch + 1, self.step + 1

    def next_epoch(self) -> None:
        self.epoch, self.batch, self.loss_sum = self.epoch + 1, 0, 0.0

    def network(self, recipe: Recipe) -> Checkpoint:
        """The averaged network alone: what best.pt holds."""
        training = {"origin": self.origin}
        return Checkpoint(model=recipe.model, spec=recipe.spec(), weights=self.average.state_dict(), training=training)

    def resumable(self, recipe: Recipe) -> Checkpoint:
        """All that going on needs: what last.pt holds."""
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
        if device.type == "cuda":  # dropout draws there
            training["cuda_generator"] = torch.cuda.get_rng_state(device)
        return Checkpoint(model=recipe.model, spec=recipe.spec(), weights=self.average.state_dict(), training=training)

    def restore(self, checkpoint: Checkpoint) -> None:
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
    """What a run is made from, as JSON: every checkpoint holds it."""
    return {
        "recipe": recipe.to_json(),
        "data": [part.name for part in data],
        "people": [len(counted(part)) for part in data],
        "validation": [part.name for part in validation],
        "processes": world,
        "start_sha256": None if start is None else sha256_file(start),
    }


def new_state(recipe: Recipe, model: nn.Module, origin: dict[str, Any]) -> State:
    """The state before the first step of a model that stands on its device, frozen where it shall be."""
    return State(
        model=model,
        average=copy.deepcopy(model).eval().requires_grad_(False),
        optimizer=_optimizer(recipe, model),
        scaler=torch.amp.GradScaler(_device(model).type, enabled=recipe.amp == "fp16"),
        origin=origin,
    )


def resume(state: State, recipe: Recipe, last: Path) -> None:
    """Put what `last` holds into `state`, and keep its origin.

    UsageError for another recipe, other people or another number of processes, ModelError for a damaged file.
    """
    checkpoint = load_checkpoint(last)
    old, new = checkpoint.training.get("recipe"), recipe.to_json()
    if not isinstance(old, dict):
        raise ModelError(f"{last} holds a network but no run to go on with; begin a new one with --start")
    changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    if changed:
        raise UsageError(f"{last} was trained with another recipe: {', '.join(changed)} differ; choose another --out")
    begun = checkpoint.training.get("origin", {})
    for key in ("people", "processes"):  # a data set may have moved, so names do not count
        if begun.get(key) != state.origin[key]:
            raise UsageError(
                f"{last} was trained with {key} {begun.get(key)}, now it is {state.origin[key]}; choose another --out"
            )
    state.origin = begun
    try:
        state.restore(checkpoint)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(
            f"{last} is damaged ({type(error).__name__}: {one_line(error)}); choose another --out"
        ) from error


def _optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW in four groups: trunk or head, matrices (with weight decay) or vectors (without)."""
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
