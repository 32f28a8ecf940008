"""Results of earlier steps that a step learns from again: sample reuse by truncated importance weights.

Where an evaluation is dear and its loss is a fact (a training run, not a batch of a supernet whose weights go on
moving), the last results say something about the present distribution too. A result x that was told to the
distribution p_then counts min(1, p_now(x) / p_then(x)) of a fresh one. Untruncated, the weighted mean would be an
unbiased estimate of the present natural gradient; the truncation takes away its variance and leaves a bias towards
the results themselves (Ionides, "Truncated Importance Sampling", 2008). Ranks are taken among all, by weight.

p_then is the distribution that a result was *told* to, not the one it was drawn from: a result that comes late, since
many evaluations run at a time, counts as a fresh one when it comes. That is the natural gradient at the distribution
it was drawn from, taken later: in expectation coordinates it is the mean of u (T(x) - eta), and since the utilities u
sum to 0, where eta stands now does not enter. A weight for the delay would estimate the gradient at the present
distribution, from what is left of late results, and that is mostly nothing: `benchmarks/late_results.py` compares.

Dimension letters: N results, D categorical decisions, M integer and real decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ray_asng.optimizers.distribution import Distribution
from ray_asng.space import Floats, Ints


class Results(NamedTuple):
    """Results with what they were drawn from.

    Attributes:
        options: (N, D) option indices.
        values: (N, M) raw draws.
        losses: (N,).
        logs: (N,) natural logarithms of the density under the distribution that they were told to.
    """

    options: Ints
    values: Floats
    losses: Floats
    logs: Floats

    def weights(self, distribution: Distribution) -> Floats:
        """(N,) min(1, p_now / p_then)."""
        now = distribution.log_probability(self.options, self.values)
        weights: Floats = np.exp(np.minimum(now - self.logs, 0.0))
        return weights


class Reuse:
    """The last results of a distribution.

    Args:
        capacity: how many are kept.
        distribution: an instance of the kind, for the shapes.

    Raises:
        ValueError: a capacity below 0.
    """

    def __init__(self, capacity: int, distribution: Distribution) -> None:
        if capacity < 0:
            raise ValueError(f"reuse is a number of results to learn from again, at least 0; got {capacity!r}")
        self.capacity = capacity
        decisions, numbers = len(distribution.num_options), len(distribution.mean)
        self.results = Results(
            np.empty((0, decisions), dtype=np.int64), np.empty((0, numbers)), np.empty(0), np.empty(0)
        )

    def add(self, options: Ints, values: Floats, losses: Floats, distribution: Distribution) -> Results:
        """Keep fresh results, told to `distribution` as it is now; the oldest go. Returns fresh and kept ones."""
        fresh = Results(options, values, losses, distribution.log_probability(options, values))
        keep = max(self.capacity, len(losses))
        joined = (np.concatenate(parts)[-keep:] for parts in zip(self.results, fresh, strict=True))
        self.results = Results(*joined)
        return self.results

    def state_dict(self) -> dict[str, Any]:
        """The results, as lists."""
        return {name: array.tolist() for name, array in self.results._asdict().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the results of a distribution over the same space."""
        count = len(state["losses"])
        self.results = Results(
            **{
                name: np.array(state[name], dtype=array.dtype).reshape(count, *array.shape[1:])
                for name, array in self.results._asdict().items()
            }
        )
