"""The values that follow a formula over the steps: the learning rate and the decay of the EMA."""

from __future__ import annotations

import math

import torch
from torch import nn

from edgepose.training.recipe import Recipe


class Schedule:
    """The learning rate (linear warm-up, then a cosine) and the EMA decay (lower at the start) of each step.

    Args:
        recipe: The recipe of the run.
        total: The number of steps of the whole run.
    """

    def __init__(self, recipe: Recipe, total: int) -> None:
        self.recipe, self.total = recipe, max(total, 1)
        self.warm = max(1, int(recipe.warmup * self.total))

    def factor(self, step: int) -> float:
        """Return the fraction of the full learning rate at a step (from 0): 1 after warm-up, `lr_end` at the end."""
        if step < self.warm:
            return (step + 1) / self.warm
        way = (step - self.warm) / max(1, self.total - self.warm)
        low = self.recipe.lr_end
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(way, 1.0)))

    def progress(self, step: int) -> float:
        """Return the completed part of the training at a step, 0 to 1."""
        return min(step / self.total, 1.0)

    def lr(self, step: int) -> float:
        """Return the learning rate of the head at a step."""
        return self.recipe.lr * self.factor(step)

    def apply(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Set the learning rates of the optimizer for a step."""
        for group in optimizer.param_groups:
            group["lr"] = group["full_lr"] * self.factor(step)

    def decay(self, step: int) -> float:
        """Return the decay of the EMA at a step.

        It is that of the recipe, but lower in the first steps, so that the average forgets the random start.
        """
        return min(self.recipe.ema, (1 + step) / (10 + step))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the EMA toward the model. Batch norm statistics are averaged too; integer counters are copied."""
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)
