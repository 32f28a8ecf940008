"""WA-ASNG: ASNG that also learns how much each rank of a large batch counts.

With many losses a step, weights that look at the best and the worst quarter alone waste the others, and how much the
ranks between say depends on the problem and its noise. Every few steps the weights climb the signal that ASNG steers
its step size by, computed again for the last batches as a function of the weights w:

    d(w) = sum_i w_i g_i / |.|        g_i the natural gradient that the sample at rank i stands for, whitened
    s(w) = (1 - beta) s + sqrt(beta (2 - beta)) d(w), batch after batch;   maximise |s(w)|^2

30 gradient steps, after each of which the weights are put into descending order, centred, and scaled to the sum of
absolute values that they began with. Two details differ from the published code: the weights are centred, since a
utility that all ranks share says nothing of any, and equal losses share the weights of their places.

Dimension letters: N samples of a batch, T batches since the weights last moved, F coordinates of the Fisher root.

References:
    Yamada, Uchida & Shirakawa, "WA-ASNG", EvoCOP 2026, as in the published code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ray_asng.optimizers.asng import ASNG
from ray_asng.space import Floats, Ints, SearchSpace

_EPOCHS = 30
_DECAY = 0.9
# A weighted sum of the samples' gradients that is shorter than this has no direction.
_NEGLIGIBLE = 1e-12


class Batch(NamedTuple):
    """Results of one step, best first.

    Attributes:
        options: (N, D) option indices.
        values: (N, M) raw draws.
        losses: (N,), infinite where they were not finite.
    """

    options: Ints
    values: Floats
    losses: Floats


class WeightAdaptingASNG(ASNG):
    """ASNG for batches of about 25 losses and more, whose rank weights adapt.

    A batch of another size than `samples` is ranked as by `ASNG` and teaches the weights nothing.

    Args:
        space: what is decided.
        seed: of the proposals.
        samples: proposals of a batch [lambda], at least 4.
        others: settings of `ASNG` by name, but for `reuse`: results from other distributions have no rank here.

    Attributes:
        rank_weights: (samples,) from the best rank to the worst, descending, summing to 0.
        adapt_every: steps between two adaptations, max(1, D^1.3 // samples) for D decisions.

    Raises:
        ValueError: fewer than 4 samples; what `ASNG` refuses.
        TypeError: an unknown setting.
    """

    least_samples = 4

    def __init__(self, space: SearchSpace, seed: int = 0, samples: int = 32, **others: Any) -> None:
        if samples < self.least_samples:
            raise ValueError(f"samples must be at least 4, so that there are ranks to weigh; got {samples!r}")
        if others.get("reuse"):
            raise ValueError("wa_asng ranks one batch by itself and cannot reuse earlier results; leave reuse out")
        super().__init__(space, seed, samples=samples, **others)
        quarter = -(-samples // 4)
        self.rank_weights: Floats = np.zeros(samples)
        self.rank_weights[:quarter] += 1.0
        self.rank_weights[-quarter:] -= 1.0
        self._total = float(np.abs(self.rank_weights).sum())
        self.adapt_every = max(1, int(len(space) ** 1.3) // samples)
        self._batches: list[Batch] = []
        self._s_before: Floats = self.s.copy()

    def _learn(self, options: Ints, values: Floats, losses: Floats) -> None:
        if len(losses) != self.samples:
            super()._learn(options, values, losses)
            return
        comparable = np.where(np.isfinite(losses), losses, np.inf)
        order = np.argsort(comparable, kind="stable")
        batch = Batch(options[order], values[order], comparable[order])
        utility = shared(self.rank_weights, batch.losses)
        direction = self.distribution.direction(batch.options, batch.values, utility)
        if direction is None:
            return
        self._move(direction)
        self._batches.append(batch)
        if len(self._batches) >= self.adapt_every:
            gradients = [self._gradients(batch) for batch in self._batches]
            beta = min(self.step_size / math.sqrt(len(self.s)), 2.0)
            self.rank_weights = adapted(self.rank_weights, gradients, self._s_before, beta, self._total)
            self._batches = []
            self._s_before = self.s.copy()

    def _gradients(self, batch: Batch) -> Floats:
        """(N, F) what each rank stands for, measured at the present distribution, less the mean of all."""
        rows = np.zeros((self.samples, len(self.s)))
        for rank, places in enumerate(np.eye(self.samples) - 1.0 / self.samples):
            found = self.distribution.direction(batch.options, batch.values, shared(places, batch.losses))
            if found is not None:
                rows[rank] = found.length * found.whitened
        return rows

    def state_dict(self) -> dict[str, Any]:
        """Everything the future depends on but the settings, as lists and numbers."""
        return {
            **super().state_dict(),
            "rank_weights": self.rank_weights.tolist(),
            "s_before": self._s_before.tolist(),
            "batches": [[part.tolist() for part in batch] for batch in self._batches],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space and number of samples.

        Raises:
            ValueError: a state for another number of samples.
        """
        if len(state["rank_weights"]) != self.samples:
            raise ValueError(
                f"the state has weights for {len(state['rank_weights'])} samples, this method takes {self.samples}; "
                "give the same samples"
            )
        super().load_state_dict(state)
        self.rank_weights = np.array(state["rank_weights"], dtype=np.float64)
        self._s_before = np.array(state["s_before"], dtype=np.float64)
        decisions, numbers = len(self.distribution.num_options), len(self.distribution.mean)
        self._batches = [
            Batch(
                np.array(options, dtype=np.int64).reshape(self.samples, decisions),
                np.array(values, dtype=np.float64).reshape(self.samples, numbers),
                np.array(losses, dtype=np.float64),
            )
            for options, values, losses in state["batches"]
        ]


def shared(weights: Floats, losses: Floats) -> Floats:
    """The (N,) weights of the places of (N,) ascending losses; equal losses share theirs."""
    _, place = np.unique(losses, return_inverse=True)
    means: Floats = np.bincount(place, weights) / np.bincount(place)
    return means[place]


def adapted(weights: Floats, gradients: Sequence[Floats], s: Floats, beta: float, total: float) -> Floats:
    """The weights after climbing |s(w)|^2 for 30 steps.

    Args:
        weights: (N,) at the start.
        gradients: T times (N, F), as `WeightAdaptingASNG._gradients` gives them.
        s: (F,) average of normalised gradients before the first of these batches.
        beta: its rate.
        total: sum of absolute weights that is kept.

    Returns:
        (N,), descending and summing to 0.
    """
    rate = len(weights) ** 1.5 / 200.0
    for _ in range(_EPOCHS):
        weights = weights + rate * signal_gradient(weights, gradients, s, beta)
        weights = np.sort(weights)[::-1]
        weights = weights - weights.mean()
        size = np.abs(weights).sum()
        if size < _NEGLIGIBLE:
            break
        weights = weights * (total / size)
        rate *= _DECAY
    return weights


def signal_gradient(weights: Floats, gradients: Sequence[Floats], s: Floats, beta: float) -> Floats:
    """Gradient (N,) of |s(w)|^2 by the weights; arguments as for `adapted`."""
    gain = math.sqrt(beta * (2.0 - beta))
    told = []
    for rows in gradients:
        summed = rows.T @ weights
        length = float(np.linalg.norm(summed))
        if length > _NEGLIGIBLE:
            told.append((rows, summed / length, length))
            s = (1.0 - beta) * s + gain * summed / length
    slope = np.zeros_like(weights)
    share = gain
    for rows, unit, length in reversed(told):
        # Only what of s is square to the direction can turn it: its length is taken out.
        slope += 2.0 * share / length * (rows @ (s - unit * unit.dot(s)))
        share *= 1.0 - beta
    return slope
