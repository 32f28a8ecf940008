"""Masks that hide a part of an image from the network that shall restore it.

Dimension letters: B images, H rows and W columns.

References:
    Suganuma, Ozay & Okatani, "Exploiting the Potential of Standard Convolutional Autoencoders for Image Restoration by
    Evolutionary Search", ICML 2018; the three masks of ASNG-NAS.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ray_asng.space import nearest

_USUAL = {"centre": 0.5, "random_pixel": 0.8, "random_half": 0.5}


@dataclass(frozen=True, slots=True)
class Masks:
    """What is hidden.

    Attributes:
        kind: "centre", the middle of each side; "random_pixel", every pixel with a probability; "random_half", the
            upper, lower, left or right half.
        fraction: of "centre", the hidden share of each side; of "random_pixel", the probability.

    Raises:
        ValueError: an unknown kind; a fraction that is not between 0 and 1, or one for "random_half".
    """

    kind: str
    fraction: float

    def __post_init__(self) -> None:
        if self.kind not in _USUAL:
            raise ValueError(f"unknown mask {self.kind!r}{nearest(self.kind, tuple(_USUAL))}")
        if not 0.0 < self.fraction < 1.0:
            raise ValueError(f"mask_fraction is the hidden share, above 0 and below 1; got {self.fraction!r}")
        if self.kind == "random_half" and self.fraction != _USUAL[self.kind]:
            raise ValueError(f"the mask 'random_half' hides one half; leave mask_fraction={self.fraction!r} out")

    def draw(self, count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
        """(count, 1, height, width) float32 masks on the CPU: 0 where a pixel is hidden, 1 elsewhere.

        Args:
            count: of images.
            height: of the images.
            width: likewise.
            generator: on the CPU; not used by "centre".
        """
        if self.kind == "centre":
            shown = torch.ones(count, 1, height, width)
            shown[:, :, _middle(height, self.fraction), _middle(width, self.fraction)] = 0.0
            return shown
        if self.kind == "random_pixel":
            drawn = torch.rand(count, 1, height, width, generator=generator)
            return (drawn >= self.fraction).to(torch.float32)
        is_second = torch.arange(height) >= height // 2, torch.arange(width) >= width // 2
        rows, columns = is_second[0][:, None].expand(height, width), is_second[1].expand(height, width)
        halves = torch.stack([rows, ~rows, columns, ~columns]).to(torch.float32)
        return halves[torch.randint(len(halves), (count,), generator=generator)][:, None]


def make_masks(kind: str, fraction: float | None) -> Masks:
    """Masks of a kind, with its published fraction where none is given: 0.5 of each side, or 0.8 of the pixels."""
    return Masks(kind, _USUAL.get(kind, 0.5) if fraction is None else fraction)


def _middle(length: int, fraction: float) -> slice:
    # A pixel at least is hidden and one is shown, where there are two.
    hidden = max(1, min(length - 1, round(fraction * length)))
    start = (length - hidden) // 2
    return slice(start, start + hidden)
