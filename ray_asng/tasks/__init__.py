"""Data on the device, loss and metric. One file a data set; `base` holds the contract.

The builders below import torch and what reads their data when they are called, so importing this package costs
nothing. They are imported by name, not looked up on first use: `digits` is also the name of a module, which would
take the place of the function once anything imports it.
"""

from ray_asng.tasks.cifar import cifar10, cifar100
from ray_asng.tasks.digits import digits
from ray_asng.tasks.inpainting import inpainting
from ray_asng.tasks.own_data import from_dataset, from_tensors, standardised
from ray_asng.tasks.parquet_images import images
from ray_asng.tasks.prepare import prepare
from ray_asng.tasks.splits import split_rows

__all__ = [
    "cifar10",
    "cifar100",
    "digits",
    "from_dataset",
    "from_tensors",
    "images",
    "inpainting",
    "prepare",
    "split_rows",
    "standardised",
]
