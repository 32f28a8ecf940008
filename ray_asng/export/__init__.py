"""A trained child as files for elsewhere: its weights with a recipe, a `torch.export` program, and ONNX.

    exported = export(child, example_inputs, "runs/mine/export")

writes them and compares each with the child. `rebuild` makes the child again from weights and recipe; the other two
formats load where this package is not installed. A child straight from a search has no running statistics in its batch
norms: `recalibrate` gives it some, retraining better ones.
"""

from ray_asng.export.formats import FORMATS
from ray_asng.export.recalibration import recalibrate
from ray_asng.export.recipe import rebuild
from ray_asng.export.writing import Exported, Written, export

__all__ = ["FORMATS", "Exported", "Written", "export", "rebuild", "recalibrate"]
