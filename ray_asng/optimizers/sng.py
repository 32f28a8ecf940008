"""Stochastic natural gradient (SNG): ASNG with a step of constant length, the ablation of its adaptation.

References:
    Akimoto et al., ICML 2019, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray_asng.optimizers.distribution import Direction
from ray_asng.optimizers.linear_cost import Coefficients
from ray_asng.optimizers.natural_gradient import NaturalGradientOptimizer
from ray_asng.space import SearchSpace


class SNG(NaturalGradientOptimizer):
    """Steps of Fisher length `step` along the natural gradient of the ranked losses.

    Args:
        space: what is decided.
        seed: of the proposals.
        step: length of every step in the Fisher metric [delta]; by default 1 / sqrt(n_theta).
        samples: proposals for one update that the search loop draws by default, at least 2.
        penalty, budget, coefficients: of the cost of an architecture, as for `ASNG`.

    Raises:
        ValueError: a setting outside the ranges above; a penalty or budget on a space without a cost.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        step: float | None = None,
        samples: int = 2,
        penalty: float | None = None,
        budget: float | None = None,
        coefficients: Coefficients | None = None,
    ) -> None:
        super().__init__(space, seed, samples, penalty, budget, coefficients)
        self.step = max(self.distribution.num_parameters, 1) ** -0.5 if step is None else step
        if self.step <= 0.0:
            raise ValueError(f"step must be positive, got {step!r}")

    def _move(self, direction: Direction) -> None:
        """Take one step of constant length."""
        penalised = self._penalised(direction, self.step)
        if penalised is not None:
            self.distribution.move(penalised, self.step)

    def metrics(self) -> dict[str, float]:
        """`step_size`, which is constant; `expected_cost`."""
        return {"step_size": self.step} | self._cost_metrics()

    def state_dict(self) -> dict[str, Any]:
        """Everything the future depends on but the settings, as lists and numbers."""
        return self.distribution.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space; the settings stay those of the construction."""
        self.distribution.load_state_dict(state)
