"""Bringing decoded pictures to one size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def check_size(size: int | None) -> None:
    """Raise ValueError unless `size` is None or a side in pixels."""
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise ValueError(f"size is the side of the images in pixels, at least 1, or None to keep them; got {size!r}")


def resized(picture: Image.Image, size: int | None) -> NDArray[np.uint8]:
    """The pixels of a picture, brought to `size` x `size` unless that is None.

    Pillow's bilinear filter averages over the area when it shrinks a picture.

    Returns:
        (C, H, W) uint8, C = 3 for an RGB picture and 1 for a grey one.
    """
    if size is not None and picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture, dtype=np.uint8)
    return np.atleast_3d(pixels).transpose(2, 0, 1)
