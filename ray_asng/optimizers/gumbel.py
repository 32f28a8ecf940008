"""Relaxed samples of a categorical variable by Gumbel noise, and what the methods share that mix options by them.

References:
    Maddison, Mnih & Teh, "The Concrete Distribution", ICLR 2017; Jang, Gu & Poole, "Categorical Reparameterization
    with Gumbel-Softmax", ICLR 2017.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

import torch

from ray_asng.optimizers.base import MixingOptimizer, Weights
from ray_asng.optimizers.temperature import Temperature
from ray_asng.space import Floats, SearchSpace


def gumbel_softmax(log_probs: torch.Tensor, temperature: float, generator: torch.Generator) -> torch.Tensor:
    """softmax((log p + G) / tau) with independent standard Gumbel variables [G].

    The largest element is at option k with probability p_k, whatever the temperature [tau].

    Args:
        log_probs: (K,) log-probabilities, up to a constant [log p].
        temperature: positive.
        generator: of the noise, on the CPU, which makes it the same for all devices.

    Returns:
        (K,) on the simplex, with the gradient by `log_probs`.
    """
    exponential = torch.empty(log_probs.shape, dtype=log_probs.dtype).exponential_(generator=generator)
    # An exponential variable of zero would make the noise infinite.
    gumbel = -exponential.clamp_min(torch.finfo(log_probs.dtype).tiny).log()
    return torch.softmax((log_probs + gumbel.to(log_probs.device)) / temperature, dim=0)


class Learnt(Protocol):
    """What a method learns: `Logits`, or weights on the simplex."""

    @property
    def probabilities(self) -> dict[str, Floats]:
        """Decision name -> (K,) probabilities."""

    def state_dict(self) -> dict[str, Any]:
        """Copies."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; other keys of `state` are left alone."""


class GumbelOptimizer(MixingOptimizer):
    """Mixes options by fresh relaxed samples, whose temperature falls from epoch to epoch.

    Subclasses say what is sampled, and how it learns. The first step that learns calls `temperature.begin`.

    Args:
        space: categorical decisions only.
        learnt: of what samples are drawn.
        generator: of the noise, on the CPU.
        temperature: of the samples [tau].
    """

    def __init__(
        self, space: SearchSpace, learnt: Learnt, generator: torch.Generator, temperature: Temperature
    ) -> None:
        self.space = space
        self.generator = generator
        self.temperature = temperature
        self._learnt = learnt

    @abstractmethod
    def _sample(self) -> Weights:
        """Fresh mixing weights, of which the weight step gets copies without graph."""

    def _relaxed(self, log_probs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Decision name -> (K,) `gumbel_softmax` of log-probabilities (K,) at the present temperature."""
        tau = self.temperature.value
        return {name: gumbel_softmax(row, tau, self.generator) for name, row in log_probs.items()}

    @property
    def probabilities(self) -> dict[str, Floats]:
        """Decision name -> (K,) those by which the largest elements of the samples fall on options."""
        return self._learnt.probabilities

    def reseed(self, seed: int) -> None:
        """Draw samples from a new stream from now on."""
        self.generator.manual_seed(seed)

    def weights_for_training(self) -> dict[str, torch.Tensor]:
        """A fresh sample, detached."""
        return {name: row.detach() for name, row in self._sample().items()}

    def on_epoch_end(self, epoch: int, epochs: int) -> None:
        """Lower the temperature."""
        self.temperature.end_epoch(epoch, epochs)

    def metrics(self) -> dict[str, float]:
        """The temperature of the samples."""
        return {"temperature": self.temperature.value}

    def state_dict(self) -> dict[str, Any]:
        """What is learnt, temperature and generator."""
        return {
            **self._learnt.state_dict(),
            "temperature": self.temperature.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space; the settings stay those of the construction."""
        self._learnt.load_state_dict(state)
        self.temperature.load_state_dict(state["temperature"])
        self.generator.set_state(state["generator"])
