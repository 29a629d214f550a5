"""Count the parameters and multiply-adds of every network at the joints and the size of its recipe. Nothing is run.

python benchmarks/networks.py
"""

from __future__ import annotations

import torch
from records import write_csv

from edgepose.models.cost import multiply_adds, parameters
from edgepose.training.checkpoint import create_for
from edgepose.training.recipe import read_recipe, recipe_names

COLUMNS = ["model", "recipe", "codec", "joints", "height", "width", "parameters", "multiply_adds"]


def rows() -> list[list[object]]:
    """Return one row per network, from the recipe of the same name or the first recipe that trains it."""
    made: dict[str, list[object]] = {}
    for name in sorted(recipe_names(), key=lambda name: (name != read_recipe(name).model, name)):
        recipe = read_recipe(name)
        spec = recipe.spec()
        with torch.device("meta"):
            model = create_for(recipe.model, spec)
        size = spec.input.size
        line = [
            recipe.model,
            name,
            recipe.codec,
            len(spec.skeleton),
            *size,
            parameters(model),
            multiply_adds(model, size),
        ]
        made.setdefault(recipe.model, line)
    return [made[model] for model in sorted(made)]


if __name__ == "__main__":
    write_csv("networks.csv", COLUMNS, rows())
