"""Samples of a Dirichlet distribution with their pathwise gradient, from an explicit generator.

`torch.distributions.Dirichlet` draws from the global generator only, so its two parts are put together here.

References:
    Jankowiak & Obermeyer, "Pathwise Derivatives Beyond the Reparameterization Trick", ICML 2018.
"""

from __future__ import annotations

import torch


def dirichlet_sample(concentration: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A sample x with dx_j / dc_k = s_k (1[j = k] - x_j), whose mean is the derivative of E[f(x)] for smooth f.

    The slope s_k is that of the k-th element's quantile in its marginal distribution, divided by 1 - x_k.

    Args:
        concentration: (..., K), positive [c].
        generator: of the draw, on the CPU, which makes it the same for all devices.

    Returns:
        (..., K) on the simplex, with the gradient by `concentration`.
    """
    fixed = concentration.detach().cpu()
    sample = torch._sample_dirichlet(fixed, generator=generator)
    slope = torch._dirichlet_grad(sample, fixed, fixed.sum(-1, keepdim=True).expand_as(fixed))
    # At the corners of the simplex the slope can overflow; such a sample is insensitive to the concentration.
    slope = torch.where(torch.isfinite(slope), slope, 0.0)
    sample, slope = sample.to(concentration.device), slope.to(concentration.device)
    change = slope * (concentration - concentration.detach())  # zero, with the gradient
    return sample + change - sample * change.sum(-1, keepdim=True)
