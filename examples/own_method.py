"""Your own search method beside ASNG: `python examples/own_method.py`.

A sampling method proposes architectures and learns from their losses. This one climbs: it keeps one architecture,
tries mutations of it, and moves to the best. Under Ray Tune, pass the class where a name would stand:
`tune.run(SearchTrainable, config={"method": tune.grid_search(["asng", HillClimber]), ...})`. About 30 seconds.
"""

import argparse
from typing import Any

import numpy as np
import torch

from ray_asng import Supernet, registry, tasks
from ray_asng.optimizers import ASNG, Proposal, SamplingOptimizer
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.space import SearchSpace


class HillClimber(SamplingOptimizer):
    """Keeps the best of an architecture and its mutations; all of them are compared on the same batch."""

    def __init__(self, space: SearchSpace, seed: int = 0, samples: int = 2) -> None:
        if space.numeric:
            raise ValueError("HillClimber takes categorical decisions only; use asng, sng or random_search")
        self.space = space
        self.samples = samples  # proposals of a step; the loop reads this
        self.reseed(seed)
        self.parent = space.sample(self.rng)

    def reseed(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    @property
    def probabilities(self) -> dict[str, np.ndarray]:
        """For reports: the climber is sure of its parent."""
        decisions = self.space.categorical
        return {d.name: np.array([float(o == self.parent[d.name]) for o in d.options]) for d in decisions}

    def ask(self, count: int) -> list[Proposal]:
        mutants = [self.space.mutate(self.parent, self.rng) for _ in range(count - 1)]
        return [Proposal(tried, *self.space.encode(tried)) for tried in [self.parent, *mutants]]

    def tell(self, proposals: Any, losses: Any) -> None:
        """Lower is better; NaN and infinities rank worst."""
        best = proposals[int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))]
        self.parent = self.space.architecture(best.architecture if isinstance(best, Proposal) else best)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the future depends on: a search that was stopped goes on exactly."""
        return {"parent": dict(self.parent), "rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: Any) -> None:
        self.parent = self.space.architecture(state["parent"])
        self.rng.bit_generator.state = state["rng"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10, help="of each search")
    settings = SearchSettings(epochs=parser.parse_args().epochs)
    torch.set_num_threads(1)  # such a small network gains nothing from more
    task = tasks.digits()
    for method in (ASNG, HillClimber):
        accuracies = []
        for seed in (0, 1):
            network = registry.spaces["nasbench201"](width=4, cells=1, **task.network_options)
            supernet = Supernet(network)
            search = Search(supernet, task, method(supernet.space, seed=seed), settings, seed=seed)
            while not search.is_done:
                found = search.run_epoch()
            accuracies.append(found["path_accuracy"])
            print(f"{method.__name__:12} seed {seed}  {supernet.space.text(search.architecture)}")
        print(f"{method.__name__:12} path accuracy {np.mean(accuracies):.3f}, the mean of {len(accuracies)} seeds")


if __name__ == "__main__":
    main()
