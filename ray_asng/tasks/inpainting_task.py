"""Inpainting from tensors that stay uint8 on the device: restore images of which a part is hidden.

Dimension letters: N images of C channels, H rows and W columns; B images in a batch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional

from ray_asng.space import nearest
from ray_asng.tasks.augmentation import random_flip
from ray_asng.tasks.base import SPLITS
from ray_asng.tasks.masks import Masks
from ray_asng.tasks.splits import split_indices

# So many masks are drawn once for images that are not augmented; image i has mask i modulo this number.
_FIXED_MASKS = 256
_SSIM_SIGMA, _SSIM_WINDOW = 1.5, 11
# In decibels, of images that are restored to the last bit.
_HIGHEST = 100.0


@final
class InpaintingTask:
    """Restoration of masked images; the metric is the peak signal-to-noise ratio (PSNR) in decibels.

    Pixels go from 0 to 1, hidden ones are 0. With a generator, masks and mirroring are drawn; without one every image
    has the same mask each time.

    Args:
        name: for reports.
        images: (N, C, H, W) uint8, the development images, from which `train` and `valid` are drawn. They may be a
            memory map; on the CPU they stay one.
        test_images: (M, C, H, W) uint8.
        masks: what is hidden.
        flip: mirror at random.
        split_seed: of the permutation that divides the development images.
        train_fraction: the share of the development images that `train` gets; `valid` gets the rest.
        mask_seed: of the masks of images that are not augmented.

    Attributes:
        test_measures: further metrics of the test data, name -> function of outputs and targets: "ssim", of images
            that are large enough.

    Raises:
        ValueError: shapes that do not fit, a fraction that leaves a split empty.
        TypeError: images that are not uint8.
    """

    metric = "psnr"
    higher_is_better = True

    def __init__(
        self,
        *,
        name: str,
        images: Tensor,
        test_images: Tensor,
        masks: Masks,
        flip: bool = True,
        split_seed: int = 0,
        train_fraction: float = 0.5,
        mask_seed: int = 0,
    ) -> None:
        for part, given in (("development", images), ("test", test_images)):
            if given.dtype != torch.uint8:
                raise TypeError(f"{part} images must be uint8 with values from 0 to 255, got {given.dtype}")
            if given.ndim != 4 or not given.numel():
                raise ValueError(f"{part} images must have the shape (N, C, H, W), none of it 0; got {given.shape}")
        if images.shape[1:] != test_images.shape[1:]:
            raise ValueError(
                f"development images of shape {tuple(images.shape[1:])} and test images of shape "
                f"{tuple(test_images.shape[1:])} must agree in channels, height and width; pass size="
            )
        train, valid = split_indices(len(images), train_fraction, split_seed)
        self.name = name
        self.masks = masks
        self.flip = flip
        height, width = images.shape[2:]
        self.network_options: Mapping[str, Any] = {"in_channels": images.shape[1], "size": min(height, width)}
        has_window = min(height, width) >= _SSIM_WINDOW
        self.test_measures: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"ssim": ssim} if has_window else {}
        fixed = masks.draw(_FIXED_MASKS, height, width, torch.Generator().manual_seed(mask_seed))
        self._fixed_masks = fixed
        self._development, self._test = images, test_images
        self._rows = {
            "train": train,
            "valid": valid,
            "train_valid": torch.arange(len(images)),
            "test": torch.arange(len(test_images)),
        }

    def __repr__(self) -> str:
        sizes = ", ".join(f"{split}={len(rows)}" for split, rows in self._rows.items())
        return f"InpaintingTask({self.name!r}, {self.masks}, image_shape={tuple(self._test.shape[1:])}, {sizes})"

    def to(self, device: torch.device) -> InpaintingTask:
        """The task with its images and masks on `device`."""
        moved = copy.copy(self)
        moved._development, moved._test = self._development.to(device), self._test.to(device)
        moved._fixed_masks = self._fixed_masks.to(device)
        return moved

    def size(self, split: str) -> int:
        """Number of images of a split."""
        return len(self._split_rows(split))

    def batch(self, split: str, indices: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Masked and true images, (B, C, H, W) float32 from 0 to 1 each, on the device of the task.

        Args:
            split: "train", "valid", "train_valid" or "test".
            indices: (B,) int64 on the CPU, each in [0, size(split)).
            generator: on the CPU; draws masks and mirroring. Without it, each image has a mask of its own for good.
        """
        images = self._test if split == "test" else self._development
        rows = self._split_rows(split).index_select(0, indices).to(images.device)
        pictures = images.index_select(0, rows)
        if generator is None:
            shown = self._fixed_masks.index_select(0, rows % _FIXED_MASKS)
        else:
            pictures = random_flip(pictures, generator) if self.flip else pictures
            count, _, height, width = pictures.shape
            shown = self.masks.draw(count, height, width, generator).to(images.device)
        true = pictures.to(torch.float32) / 255.0
        return true * shown, true

    def loss(self, outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Mean squared difference of (B, C, H, W) outputs and true images.

        Raises:
            ValueError: outputs of another shape, or label smoothing, which needs classes.
        """
        if label_smoothing:
            raise ValueError(f"label_smoothing={label_smoothing} spreads a target over classes; inpainting has none")
        if outputs.shape != targets.shape:
            raise ValueError(
                f"a network for inpainting returns images of the shape of its inputs, {tuple(targets.shape)}; got "
                f"{tuple(outputs.shape)}"
            )
        return functional.mse_loss(outputs, targets)

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """PSNR in decibels of (B, C, H, W) outputs, clipped to 0 and 1: the mean over images."""
        return psnr(outputs, targets)

    def _split_rows(self, split: str) -> Tensor:
        if split not in self._rows:
            raise ValueError(f"unknown split {split!r}{nearest(split, SPLITS)}")
        return self._rows[split]


def psnr(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over images of the peak signal-to-noise ratio, in decibels; (B, C, H, W) outputs are clipped to 0 and 1.

    An image that is restored to the last bit would have an infinite ratio; it counts as 100.
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio

    clipped = outputs.detach().to(torch.float32).clamp(0.0, 1.0)
    ratios = peak_signal_noise_ratio(clipped, targets, data_range=1.0, reduction="none", dim=(1, 2, 3))
    mean: Tensor = ratios.clamp(max=_HIGHEST).mean()
    return mean


def ssim(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over images of the structural similarity of (B, C, H, W) outputs, clipped to 0 and 1.

    With a Gaussian window of deviation 1.5 (11 x 11 pixels) and population covariances, over the windows that lie
    within the image, as scikit-image has it, by which the published figures are measured; H and W are 11 or more.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    clipped = outputs.detach().to(torch.float32).clamp(0.0, 1.0)
    _, similarities = structural_similarity_index_measure(
        clipped, targets, data_range=1.0, sigma=_SSIM_SIGMA, return_full_image=True
    )
    # The library has mirrored the images at their edges; hidden parts in the middle would count for too little.
    edge = _SSIM_WINDOW // 2
    mean: Tensor = similarities[:, :, edge:-edge, edge:-edge].mean()
    return mean
