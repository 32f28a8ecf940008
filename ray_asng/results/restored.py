"""Pictures of inpainting: masked, restored and true images side by side.

Dimension letters: N images of C channels, H rows and W columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ray_asng.results.document import Block, Heading, Paragraph, Picture
from ray_asng.results.statistics import Floats
from ray_asng.results.style import headline

_INCHES = 1.1


def restored_path(folder: Path) -> Path:
    """Where the pictures of the report in `folder` stand."""
    return folder / "figures" / "restored.png"


def section(folder: Path) -> list[Block]:
    """What the report in `folder` shows of restored images; nothing if none were drawn."""
    path = restored_path(folder)
    if not path.is_file():
        return []
    note = "The first test images: masked, as the first retrained network of each method restores them, and true."
    return [
        Heading("Restored images"),
        Paragraph(note),
        Picture(path.relative_to(folder).as_posix(), "Restored images"),
    ]


def restored_images(rows: Sequence[tuple[str, Floats]]) -> Figure:
    """A row of N images for each name, such as masked, a method's and true.

    Args:
        rows: name and (N, C, H, W) pixels from 0 to 1, which are clipped; one channel is drawn in grey.
    """
    count = len(rows[0][1])
    figure = Figure(figsize=(_INCHES * count + 1.2, _INCHES * len(rows) + 1.0), layout="constrained")
    panels = figure.subplots(len(rows), count, squeeze=False)
    for line, (name, images) in zip(panels, rows, strict=True):
        for axes, image in zip(line, images, strict=True):
            pixels = np.clip(image.transpose(1, 2, 0), 0.0, 1.0)
            axes.imshow(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0.0, vmax=1.0)
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=9)
    headline(figure, "Restored images")
    return figure
