"""DrNAS: mixing weights drawn from a Dirichlet distribution, whose concentration learns by the pathwise gradient.

    theta ~ Dirichlet(c),   c = elu(beta) + 1
    gradient_beta E[L_valid(theta)], by one sample, plus that of a penalty which pulls the concentration to 1

The progressive scheme (partial channels, pruning) is `drnas_progressive`; the published NAS-Bench-201 results were made
without it.

References:
    Chen, Wang, Cheng, Tang & Hsieh, "DrNAS: Dirichlet Neural Architecture Search", ICLR 2021; defaults of the
    published code for NAS-Bench-201.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.distributions import Dirichlet, kl_divergence

from ray_asng.optimizers.base import MixingOptimizer, Problem, categorical_only
from ray_asng.optimizers.dirichlet import dirichlet_sample
from ray_asng.optimizers.logits import Logits
from ray_asng.space import Floats, SearchSpace

# A concentration of 5e-5. Nearly all samples of smaller ones are corners of the simplex too.
_LOWEST = -10.0


class DrNAS(MixingOptimizer):
    """Concentrations elu(beta) + 1, with beta by Adam on the validation loss of a Dirichlet sample.

    Args:
        space: categorical decisions only.
        seed: of the initial beta, 1e-3 times standard normal, and of the samples.
        learning_rate: of Adam.
        regulariser: "l2", weight decay of beta in Adam; "kl", KL(Dirichlet(c) || Dirichlet(1)) added to the loss,
            summed over decisions; or None.
        regulariser_weight: of either; the default is tuned for "l2".
        device: where beta lives.

    Raises:
        ValueError: the space has integer or real decisions, `learning_rate` is not positive, `regulariser_weight` is
            negative, or there is no such regulariser.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        learning_rate: float = 3e-4,
        regulariser: str | None = "l2",
        regulariser_weight: float = 1e-3,
        device: torch.device | str = "cpu",
    ) -> None:
        categorical_only(space, "drnas")
        if regulariser not in ("l2", "kl", None):
            raise ValueError(f"regulariser must be 'l2', 'kl' or None, got {regulariser!r}")
        if regulariser_weight < 0.0:
            raise ValueError(f"regulariser_weight must be 0 or more, got {regulariser_weight!r}")
        self.space = space
        self.divergence_weight = regulariser_weight if regulariser == "kl" else 0.0
        weight_decay = regulariser_weight if regulariser == "l2" else 0.0
        self.generator = torch.Generator().manual_seed(seed)
        self._state = Logits(space, self.generator, learning_rate, weight_decay, device)
        self.beta = self._state.rows

    @property
    def probabilities(self) -> dict[str, Floats]:
        """Decision name -> (K,) mean of the Dirichlet distribution, in the order of beta and its softmax."""
        rows = {name: concentration(row.detach()).double().cpu().numpy() for name, row in self._left().items()}
        return {name: row / row.sum() for name, row in rows.items()}

    def reseed(self, seed: int) -> None:
        """Draw samples from a new stream from now on."""
        self.generator.manual_seed(seed)

    def weights_for_training(self) -> dict[str, torch.Tensor]:
        """A fresh sample, detached."""
        return {name: row.detach() for name, row in self._sample().items()}

    def architecture_step(self, problem: Problem) -> float:
        """One Adam step along the pathwise gradient at a fresh sample; returns its loss, without the penalty."""
        loss = problem.loss(self._sample(), "valid")
        gradients = self._state.gradients(loss)
        if self.divergence_weight:
            penalty = self.divergence_weight * divergence_from_flat(self._left())
            gradients = [slope + pull for slope, pull in zip(gradients, self._state.gradients(penalty), strict=True)]
        self._state.step(gradients)
        return float(loss.detach())

    def _sample(self) -> dict[str, torch.Tensor]:
        """Decision name -> (K,) on the simplex [theta]."""
        return {name: dirichlet_sample(concentration(row), self.generator) for name, row in self._left().items()}

    def _left(self) -> Mapping[str, torch.Tensor]:
        """The beta of the options that are drawn: all of them, unless a subclass discards some."""
        return self.beta

    def state_dict(self) -> dict[str, Any]:
        """Beta, the state of Adam, and the generator."""
        return {**self._state.state_dict(), "generator": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space; the settings stay those of the construction."""
        self._state.load_state_dict(state)
        self.generator.set_state(state["generator"])


def concentration(beta: torch.Tensor) -> torch.Tensor:
    """elu(beta) + 1, of any shape."""
    # Written so, since elu(beta) + 1 is rounded to zero, which is no concentration, where beta is below -17.
    return torch.where(beta > 0.0, beta + 1.0, beta.clamp(_LOWEST, 0.0).exp())


def divergence_from_flat(beta: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """KL(Dirichlet(c) || Dirichlet(1)) in nats, summed over decisions; a scalar."""
    concentrations = [concentration(row) for row in beta.values()]
    return torch.stack(
        [kl_divergence(Dirichlet(each), Dirichlet(torch.ones_like(each))) for each in concentrations]
    ).sum()
