"""Random crop, flip and cutout of a whole batch at once, on the device of the images.

What is random is drawn on the CPU from the caller's generator, so that a search does not depend on the device. The
meanings are those of torchvision's `RandomCrop(size, padding)` and `RandomHorizontalFlip` and of the cutout of
DARTS; the functions that are told where to crop, flip or cut are apart from those that draw it.

Dimension letters: B images of C channels, H rows and W columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What a training batch goes through.

    Attributes:
        pad: a crop of the original size is taken at random from the image with `pad` black pixels on every side.
        flip: mirror every image left to right with probability 1/2.
        cutout: side of the square that is set to the mean colour, in pixels; 0 for none.
    """

    pad: int = 0
    flip: bool = False
    cutout: int = 0

    def __post_init__(self) -> None:
        for name, pixels in (("pad", self.pad), ("cutout", self.cutout)):
            if not isinstance(pixels, int) or isinstance(pixels, bool) or pixels < 0:
                raise ValueError(f"{name} is a number of pixels, 0 or more (0 switches it off); got {pixels!r}")

    def before_normalising(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Crop and flip (B, C, H, W) images in which 0 is black."""
        if self.pad:
            images = random_crop(images, self.pad, generator)
        return random_flip(images, generator) if self.flip else images

    def after_normalising(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Cut a square out of each of (B, C, H, W) images in which 0 is the mean colour."""
        return random_cutout(images, self.cutout, generator) if self.cutout else images


def usual_pad(height: int, width: int) -> int:
    """Padding in proportion to that of CIFAR: 4 pixels for a side of 32."""
    return min(height, width) // 8


def random_crop(images: Tensor, pad: int, generator: torch.Generator) -> Tensor:
    """Crops of the original size at uniform places in the images padded with `pad` zeros on every side.

    Args:
        images: (B, C, H, W), any dtype.
        pad: pixels.
        generator: on the CPU; gives 2 B integers.

    Returns:
        (B, C, H, W), a copy.
    """
    tops, lefts = torch.randint(2 * pad + 1, (2, len(images)), generator=generator).to(images.device)
    return crop_at(images, pad, tops, lefts)


def crop_at(images: Tensor, pad: int, tops: Tensor, lefts: Tensor) -> Tensor:
    """Crops of the original size whose corner lies at row `tops` and column `lefts` of the padded image.

    Args:
        images: (B, C, H, W), any dtype.
        pad: zeros on every side, in pixels.
        tops: (B,) int64 in [0, 2 pad].
        lefts: (B,) int64 in [0, 2 pad].
    """
    batch, channels, height, width = images.shape
    row_length = width + 2 * pad
    plane_size = (height + 2 * pad) * row_length
    padded = functional.pad(images, (pad, pad, pad, pad))

    # A row of a crop is one contiguous window of the flat padded batch, so that the whole crop is one copy of B*C*H
    # such windows: on a CPU 3 times faster than indexing a two-dimensional unfold, 18 times than indexing pixels.
    windows = padded.flatten().unfold(0, width, 1)
    planes = torch.arange(batch * channels, device=images.device).view(batch, channels, 1) * plane_size
    rows = (tops[:, None] + torch.arange(height, device=images.device)) * row_length + lefts[:, None]
    starts = planes + rows[:, None, :]
    return windows.index_select(0, starts.flatten()).view(images.shape)


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each of (B, C, H, W) images left to right with probability 1/2; the generator gives B numbers."""
    flipped = torch.rand(len(images), generator=generator) < 0.5
    return flip_where(images, flipped.to(images.device))


def flip_where(images: Tensor, flipped: Tensor) -> Tensor:
    """Mirror those of (B, C, H, W) images left to right for which the (B,) bool `flipped` is true."""
    # Copying whole images out of both versions is 6 times faster on a CPU than torch.where on pixels.
    both = torch.cat([images, images.flip(3)])
    return both.index_select(0, torch.arange(len(images), device=images.device) + len(images) * flipped)


def random_cutout(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Zero a square of each image, centred at a uniform pixel and clipped at the borders.

    Args:
        images: (B, C, H, W) float, normalised, so that 0 is the mean colour.
        side: of the square, in pixels.
        generator: on the CPU; gives 2 B integers.
    """
    batch, _, height, width = images.shape
    rows = torch.randint(height, (batch,), generator=generator).to(images.device)
    columns = torch.randint(width, (batch,), generator=generator).to(images.device)
    return cut_at(images, side, rows, columns)


def cut_at(images: Tensor, side: int, rows: Tensor, columns: Tensor) -> Tensor:
    """Zero the square of `side` pixels centred at (B,) `rows` and `columns`, clipped at the borders.

    An even square reaches from side/2 pixels before its centre to side/2 - 1 behind it, as in DARTS; an odd one,
    which DARTS would shrink by a pixel, lies evenly around it.
    """
    in_rows = _span(images.shape[2], side, rows)
    in_columns = _span(images.shape[3], side, columns)
    # Numbers instead of truth values, from which torch multiplies images at half the speed on a CPU.
    cut = in_rows.to(images.dtype)[:, None, :, None] * in_columns.to(images.dtype)[:, None, None, :]
    return images * (1 - cut)


def _span(length: int, side: int, centres: Tensor) -> Tensor:
    """(B, length) bool: which positions lie within a segment of `side` around each of the (B,) centres."""
    distance = torch.arange(length, device=centres.device) - (centres[:, None] - side // 2)
    return (distance >= 0) & (distance < side)
