"""The loss on labels during fine-tuning, from the recipe of the network."""

from __future__ import annotations

from torch import nn

from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import UsageError
from edgepose.training.objectives import Objective, objective_of
from edgepose.training.recipe import Recipe

LOSSES = ("mse", "ohkm", "l2")  # those that need nothing but the outputs of the network


def task_of(recipe: Recipe, spec: ModelSpec, network: nn.Module) -> Objective | None:
    """Return the objective of a recipe for a network that is fine-tuned; None where its loss needs more than outputs.

    Args:
        recipe: The recipe that trained the network.
        spec: The contract of the network.
        network: The network.

    Raises:
        UsageError: The recipe trains another network.
    """
    theirs = recipe.spec()
    for what, ours, other in (
        ("skeleton", spec.skeleton.joints, theirs.skeleton.joints),
        ("size of crops", spec.input.size, theirs.input.size),
        ("codec", spec.codec.name, theirs.codec.name),
    ):
        if ours != other:
            raise UsageError(
                f"the recipe of {recipe.model} has another {what} ({other}) than the network ({ours}); give the recipe "
                "that the network was trained by, or none"
            )
    if recipe.codec == "paf" or recipe.loss not in LOSSES:
        return None
    return objective_of(recipe, network, spec.input.size, recipe.sigma)
