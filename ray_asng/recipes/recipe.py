"""What a recipe is: everything that a published experiment, or a reduced form of it, is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A search, the retraining of what it finds, and what to expect of both.

    Attributes:
        search: gives the config of a search but for its seed; its docstring says in one line what it is.
        seeds: searches that `ray-asng search --recipe` runs.
        retraining: fields of the retraining, as for `ray_asng.raytune.experiment.Job`.
        smoke: goes over the config of the search to make everything small.
        smoke_retraining: goes over the retraining.
        cost: what the whole takes.
        aim: the confirmed published figure to compare with, and where it is from; or that there is none.
    """

    search: Callable[[], dict[str, Any]]
    seeds: int
    retraining: Mapping[str, Any]
    smoke: Mapping[str, Any]
    smoke_retraining: Mapping[str, Any] = field(default_factory=dict)
    cost: str
    aim: str

    @property
    def about(self) -> str:
        """The first line of what the recipe says of itself."""
        return (self.search.__doc__ or "").strip().splitlines()[0]

    def job(self, *, smoke: bool) -> tuple[dict[str, Any], dict[str, Any], dict[str, int]]:
        """Config of the searches without method, fields of the retraining, and method -> seeds."""
        config = {**self.search(), **(self.smoke if smoke else {})}
        retraining = {**self.retraining, **(self.smoke_retraining if smoke else {})}
        return config, retraining, {config.pop("method"): 1 if smoke else self.seeds}
