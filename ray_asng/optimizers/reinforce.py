"""REINFORCE: logits of independent decisions moved by the score-function gradient of the expected loss.

References:
    Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning", 1992.
    Dong & Yang, "NAS-Bench-201", ICLR 2020; defaults of the published code (AutoDL-Projects, NATS-algos).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ray_asng.optimizers.adam import Moments
from ray_asng.optimizers.base import Proposal, SamplingOptimizer, categorical_only
from ray_asng.optimizers.distribution import Distribution
from ray_asng.space import Floats, Ints, SearchSpace, Value

# Greater losses count as this one: the square of the gradient must not overflow.
_LARGEST_LOSS = 1e100


class REINFORCE(SamplingOptimizer):
    """Adam on logits along (reward - baseline) grad log p, with reward = -loss.

    With one proposal an update this is the published method; of several the gradients are averaged. It answers with
    the mode of the distribution, as the first version of the published code did: the present one answers with the
    best sample seen, which says little where losses are those of shared weights on different batches.

    Args:
        space: categorical decisions only.
        seed: of the initial logits, 1e-3 times standard normal, and of the proposals.
        learning_rate: of Adam.
        momentum: of the baseline, a moving average of the rewards.
        samples: proposals for one update that the search loop draws by default.

    Attributes:
        logits: (D, K), minus infinity in the padding.

    Raises:
        ValueError: a space with integer or real decisions, `learning_rate` not positive, `momentum` not in [0, 1),
            `samples` below 1.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        learning_rate: float = 0.01,
        momentum: float = 0.9,
        samples: int = 1,
    ) -> None:
        categorical_only(space, "reinforce")
        if learning_rate <= 0.0:
            raise ValueError(f"learning_rate must be positive, got {learning_rate!r}")
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"momentum must be at least 0 and below 1, got {momentum!r}")
        if samples < 1:
            raise ValueError(f"samples must be at least 1, got {samples!r}")
        self.space = space
        self.samples = samples
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.distribution = Distribution(space, seed)
        drawn = 1e-3 * self.distribution.rng.standard_normal(self.distribution.theta.shape)
        self.logits: Floats = np.where(self.distribution.theta > 0.0, drawn, -np.inf)
        self.distribution.theta = softmax(self.logits)
        self.moments = Moments(drawn.shape)
        self._average, self._weight = 0.0, 0.0
        self._worst = -math.inf

    def reseed(self, seed: int) -> None:
        """Draw proposals from a new stream from now on."""
        self.distribution.reseed(seed)

    @property
    def probabilities(self) -> dict[str, Floats]:
        """Decision name -> (K,) softmax of the logits."""
        return self.distribution.probabilities

    @property
    def baseline(self) -> float:
        """Moving average of the rewards, without the bias of its start at 0; 0 before the first."""
        return self._average / self._weight if self._weight else 0.0

    def ask(self, count: int) -> list[Proposal]:
        """Draw `count` proposals."""
        return self.distribution.propose(count)

    def tell(self, proposals: Sequence[Proposal | Mapping[str, Value]], losses: Sequence[float] | Floats) -> None:
        """One step from all that is given.

        NaN and infinities count as the greatest loss told so far; before there is one, the whole update is left out.
        """
        options, values = self.distribution.arrays(proposals)
        told = np.asarray(losses, dtype=np.float64)
        self.distribution.check(options, values, told)
        finite = np.clip(told[np.isfinite(told)], -_LARGEST_LOSS, _LARGEST_LOSS)
        self._worst = max(self._worst, float(finite.max(initial=-np.inf)))
        if self._worst == -math.inf:
            return
        bounded = np.clip(np.where(np.isfinite(told), told, self._worst), -_LARGEST_LOSS, _LARGEST_LOSS)
        self._step(self._gradient(options, rewards=-bounded))

    def _gradient(self, options: Ints, rewards: Floats) -> Floats:
        """(D, K) mean over samples of (reward - baseline) (one_hot - probabilities); the baseline moves first."""
        self._average = self.momentum * self._average + (1.0 - self.momentum) * float(rewards.mean())
        self._weight = self.momentum * self._weight + (1.0 - self.momentum)
        advantage = (rewards - self.baseline)[:, None, None]
        one_hot = options[:, :, None] == np.arange(self.logits.shape[1])
        gradient: Floats = (advantage * (one_hot - self.distribution.theta)).mean(axis=0)
        return gradient

    def _step(self, gradient: Floats) -> None:
        """One step of Adam uphill."""
        step = self.distribution.version + 1
        mean, deviation = self.moments.update(gradient, step)
        self.logits = self.logits + self.learning_rate * mean / deviation
        self.distribution.theta = softmax(self.logits)
        self.distribution.version = step

    def metrics(self) -> dict[str, float]:
        """`baseline`, the moving average of the rewards."""
        return {"baseline": self.baseline}

    def state_dict(self) -> dict[str, Any]:
        """Everything the future depends on but the settings, as lists and numbers."""
        return {
            "distribution": self.distribution.state_dict(),
            "logits": self.logits.tolist(),
            **self.moments.state_dict(),
            "average": self._average,
            "weight": self._weight,
            "worst": self._worst,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space; the settings stay those of the construction."""
        self.distribution.load_state_dict(state["distribution"])
        self.logits = np.array(state["logits"], dtype=np.float64)
        self.moments.load_state_dict(state)
        self._average, self._weight = float(state["average"]), float(state["weight"])
        self._worst = float(state["worst"])


def softmax(logits: Floats) -> Floats:
    """(D, K) probabilities of (D, K) logits by row; those of minus infinity are 0."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities
