"""Relaxed samples of a categorical variable by Gumbel noise.

References:
    Maddison, Mnih & Teh, "The Concrete Distribution", ICLR 2017; Jang, Gu & Poole, "Categorical Reparameterization
    with Gumbel-Softmax", ICLR 2017.
"""

from __future__ import annotations

import torch


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
