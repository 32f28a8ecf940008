"""Recipes: published experiments and reduced forms of them, as plain functions that return the config of a search.

    tune.run(ASNGTrainable, config={**recipes.laptop_cifar10(), "seed": tune.grid_search([0, 1, 2])})

`RECIPES` has with each of them how what is found is retrained, what it costs, and what it aims at;
`ray-asng search --recipe NAME` runs the whole, with --smoke in some seconds and without meaning.
"""

from __future__ import annotations

from collections.abc import Mapping

from ray_asng.recipes import darts_space, inpainting, micro
from ray_asng.recipes.darts_space import darts_cifar10, laptop_darts_cifar10
from ray_asng.recipes.inpainting import (
    laptop_inpainting_cat,
    laptop_inpainting_int,
    paper_inpainting_cat,
    paper_inpainting_int,
)
from ray_asng.recipes.micro import laptop_cifar10, paper_cifar10
from ray_asng.recipes.recipe import Recipe

_ALL = (
    *(micro.PAPER, micro.LAPTOP),
    *(inpainting.PAPER_CAT, inpainting.LAPTOP_CAT, inpainting.PAPER_INT, inpainting.LAPTOP_INT),
    *(darts_space.PAPER, darts_space.LAPTOP),
)

RECIPES: Mapping[str, Recipe] = {recipe.search.__name__: recipe for recipe in _ALL}
"""Recipes by their names."""

__all__ = [
    "RECIPES",
    "Recipe",
    "darts_cifar10",
    "find_recipe",
    "laptop_cifar10",
    "laptop_darts_cifar10",
    "laptop_inpainting_cat",
    "laptop_inpainting_int",
    "paper_cifar10",
    "paper_inpainting_cat",
    "paper_inpainting_int",
]


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ValueError: there is none; names the nearest one.
    """
    if name not in RECIPES:
        from ray_asng.space import nearest  # numpy comes with it, and a command line that names recipes has no need

        raise ValueError(f"unknown recipe {name!r}{nearest(name, tuple(RECIPES))}")
    return RECIPES[name]
