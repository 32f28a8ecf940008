"""Images of a folder, decoded once into the cache folder.

Dimension letters: N images, H rows and W columns of pixels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ray_asng.tasks.colours import is_grey, note_grey
from ray_asng.tasks.decode_cache import cached_array, fingerprint
from ray_asng.tasks.resize import check_size, resized


def picture_files(folder: Path) -> list[Path]:
    """All image files below `folder`, in the order of their paths.

    Raises:
        ValueError: there is none.
    """
    endings = Image.registered_extensions()
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings and path.is_file())
    if not found:
        raise ValueError(f"no images below {folder}; expected files with endings such as .png, .jpg or .webp")
    return found


def decode_pictures(files: Sequence[Path], size: int | None = None, *, is_cropped: bool = False) -> NDArray[np.uint8]:
    """Decoded RGB images, a memory map of the decode cache.

    Args:
        files: N files, at least one.
        size: H and W to which the images are brought; None keeps them.
        is_cropped: take the square in the middle of each image first.

    Returns:
        (N, 3, H, W) uint8.

    Raises:
        ValueError: a broken image, or images of unequal size without `size`; names the file.
    """
    check_size(size)
    known = json.dumps([fingerprint(path) for path in files], sort_keys=True)
    content = {"files": hashlib.sha256(known.encode()).hexdigest(), "size": size, "cropped": is_cropped}

    def write(target: Path) -> None:
        decoded: NDArray[np.uint8] | None = None
        num_grey = 0
        for position, path in enumerate(files):
            image, grey = _decode(path, size, is_cropped)
            num_grey += grey
            if decoded is None:
                decoded = np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=(len(files), *image.shape))
            if image.shape != decoded.shape[1:]:
                raise ValueError(
                    f"{path} has {image.shape[1]} x {image.shape[2]} pixels, {files[0]} has {decoded.shape[2]} x "
                    f"{decoded.shape[3]}; pass size= to bring all to one size"
                )
            decoded[position] = image
        note_grey(num_grey, len(files), files[0].parent)

    return cached_array(files[0].parent.name or "images", content, write)


def _decode(path: Path, size: int | None, is_cropped: bool) -> tuple[NDArray[np.uint8], bool]:
    """The pixels, and whether the image had no colours."""
    try:
        with Image.open(path) as picture:
            grey, coloured = is_grey(picture), picture.convert("RGB")
    # Pillow's decoders meet broken bytes with errors of many kinds (OSError, SyntaxError, struct.error, ...).
    except Exception as error:
        raise ValueError(f"{path} cannot be decoded ({error}); mend or remove it") from error
    if is_cropped:
        side = min(coloured.size)
        left, top = ((length - side) // 2 for length in coloured.size)
        coloured = coloured.crop((left, top, left + side, top + side))
    return resized(coloured, size), grey
