"""Grey images among coloured ones: they are converted, and that is said."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image

_GREY = frozenset({"1", "L", "LA", "La", "I", "I;16", "F"})


def is_grey(picture: Image.Image) -> bool:
    """Whether a picture has no colours by its mode."""
    return picture.mode in _GREY


def note_grey(count: int, images: int, source: Path) -> None:
    """Warn that `count` of `images` images of `source` were grey, if any were."""
    if count:
        warnings.warn(
            f"{count} of {images} images of {source} are grey; they were converted to colour (three equal channels)",
            stacklevel=2,
        )
