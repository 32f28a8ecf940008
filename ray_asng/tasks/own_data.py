"""Tasks on a user's own data: tensors, arrays and memory maps, and data sets of torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from ray_asng.tasks.data_task import Augment, DataTask
    from ray_asng.tasks.objective import OwnMeasure


def from_tensors(
    inputs: Any,
    targets: Any,
    *,
    name: str = "own_data",
    loss: str | OwnMeasure | None = None,
    metric: str | OwnMeasure | None = None,
    metric_name: str | None = None,
    higher_is_better: bool | None = None,
    classes: int | None = None,
    valid: tuple[Any, Any] | None = None,
    test: tuple[Any, Any] | None = None,
    splits: Mapping[str, Any] | None = None,
    train_fraction: float | None = None,
    test_fraction: float | None = None,
    split_seed: int = 0,
    augment: Augment | None = None,
    network_options: Mapping[str, Any] | None = None,
) -> DataTask:
    """A task on tensors, arrays or memory maps, N examples first.

    Tensors and arrays are held in memory, are not copied where they need not be, and move to the device of the search.
    Memory maps of numpy (`np.load(path, mmap_mode="r")`, `np.memmap`, and views of them) stay in their file, on any
    device; the rows of a batch are read when it is drawn, and checked then. The file must lie at the same path on
    every machine.

    In batches floats are float32, integer targets int64. Nothing is scaled: see `standardised`.

    Args:
        inputs: (N, ...) tensor, array or memory map. The network is called with a batch of it; with a tuple of such
            it is called with several arguments, with a dict of such by name. Pad sequences to one length.
        targets: (N, ...) likewise: class indices, one of an example (N,) or of each position (N, T), where -100 marks
            positions without a target; booleans or floats from 0 to 1 for binary labels; any numbers for regression.
        name: for reports.
        loss: "cross_entropy" (the default for integers), "binary_cross_entropy" (for booleans), "mse" (for floats),
            "l1", or a function (outputs, targets) -> mean over the batch. Logits of sequences are (B, T, classes) or
            (B, classes, T); where both fit, the former.
        metric: "accuracy", "mse", "mae", or a function (outputs, targets) -> number. By default that which goes with
            the loss. What is reported is the mean over examples of its values on batches, so it must be a mean itself:
            a root, a correlation or an area under a curve is not.
        metric_name: of a function; reports have columns such as valid_<metric_name>.
        higher_is_better: of a function.
        classes: number of classes; found in the targets unless they are a memory map of more than one dimension.
        valid: separate validation data (inputs, targets), which choose architectures; then `inputs` are for training.
        test: separate test data (inputs, targets).
        splits: instead of all other divisions, the row numbers of "train", "valid" and "test". Rows in none are unused.
        train_fraction: share of the training examples in those that are not for the test; one half by default.
        test_fraction: share of the test examples, the same ones for every split_seed; a fifth by default.
        split_seed: divides training and validation examples.
        augment: a function (inputs, generator) -> inputs, applied to batches of a search or retraining but not where a
            network is measured; it draws from the generator (on the CPU) alone.
        network_options: options of the network's builder, such as {"vocabulary": 64}; `classes`, `in_features` and
            `in_channels` are found where they are clear.

    Raises:
        ValueError: lengths that differ, NaN, targets out of range, an empty or overlapping split, an unknown name, or
            arguments that contradict each other.
        TypeError: what is no array of numbers; targets that the loss cannot use.

    Example:
        In the config of a trial, with inputs and targets scaled by the training rows alone:

        >>> def house_prices(split_seed=0, train_fraction=0.5):
        ...     table = np.loadtxt("/data/houses.csv", delimiter=",")
        ...     rows = split_rows(len(table), train_fraction=train_fraction, split_seed=split_seed)
        ...     scaled = standardised(table, rows["train"])
        ...     return from_tensors(scaled[:, :-1], scaled[:, -1], name="houses", metric="mae", splits=rows)
        >>> tune.run(ASNGTrainable, config={"task": house_prices, "space": MyNetwork, "seed": 0})

        As an object:

        >>> task = from_tensors({"image": pixels, "age": ages}, labels, split_seed=1)
        >>> tune.run(tune.with_parameters(ASNGTrainable, task=task), config={"space": MyNetwork, "seed": 0})
    """
    from ray_asng.tasks.data_task import DataTask, data_columns
    from ray_asng.tasks.objective import choose_objective
    from ray_asng.tasks.splits import divided

    all_inputs, all_targets, counts = data_columns(inputs, targets, valid, test)
    return DataTask(
        name=name,
        inputs=all_inputs,
        targets=all_targets,
        rows=divided(counts, splits, train_fraction, test_fraction, split_seed),
        objective=choose_objective(all_targets.dtype, loss, metric, metric_name, higher_is_better),
        classes=classes,
        augment=augment,
        network_options=network_options,
    )


def from_dataset(
    dataset: Any,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    name: str = "own_data",
    loss: str | OwnMeasure | None = None,
    metric: str | OwnMeasure | None = None,
    metric_name: str | None = None,
    higher_is_better: bool | None = None,
    classes: int | None = None,
    valid: Any = None,
    test: Any = None,
    splits: Mapping[str, Any] | None = None,
    train_fraction: float | None = None,
    test_fraction: float | None = None,
    split_seed: int = 0,
    augment: Augment | None = None,
    network_options: Mapping[str, Any] | None = None,
) -> DataTask:
    """A task on a map-style data set of torch, read once from beginning to end.

    Reading once fixes whatever a transform draws, so a data set with a random transform is refused where it shows (a
    few items are read twice). Leave the random part out of the transform and give it as `augment`.

    Args:
        dataset: anything with `__len__` and `__getitem__`, each item a pair (inputs, target) of one form, shape and
            type. Inputs may be a tensor, array or number, or a tuple or dict of such.
        cache_dir: a folder for a file with all items, made at first use by one process and then memory-mapped; needed
            for data larger than half of the memory. It is found again by the name, the number of items and their form,
            and the values of eight items: remove it when others change. Without a folder, every trial that builds the
            task reads all items into its memory. A relative path is one of the folder that the experiment was
            started in.
        name: for reports, and of the file.
        valid: a separate data set for validation.
        test: a separate data set for the test.
        loss, metric, metric_name, higher_is_better, classes, splits, train_fraction, test_fraction, split_seed,
            augment, network_options: see `from_tensors`.

    Raises:
        TypeError: no map-style data set, or items that are no pairs of numbers; and as `from_tensors`.
        ValueError: an empty data set, items that differ or are random; names their index; and as `from_tensors`.
        MemoryError: data larger than half of the memory, without `cache_dir`.
        OSError: the folder cannot be written.

    Example:
        >>> photos = torchvision.datasets.ImageFolder("/data/photos", transform=Compose([Resize((64, 64)), ToTensor()]))
        >>> task = from_dataset(photos, cache_dir="/data/cache", name="photos")
    """
    from ray_asng.tasks.dataset_reader import read_dataset
    from ray_asng.tasks.folders import data_folder

    folder = None if cache_dir is None else data_folder(cache_dir)
    inputs, targets = read_dataset(f"the data set {name}", dataset, folder)
    return from_tensors(
        inputs,
        targets,
        name=name,
        loss=loss,
        metric=metric,
        metric_name=metric_name,
        higher_is_better=higher_is_better,
        classes=classes,
        valid=None if valid is None else read_dataset(f"the validation data set of {name}", valid, folder),
        test=None if test is None else read_dataset(f"the test data set of {name}", test, folder),
        splits=splits,
        train_fraction=train_fraction,
        test_fraction=test_fraction,
        split_seed=split_seed,
        augment=augment,
        network_options=network_options,
    )


def standardised(values: Any, rows: Any, over: tuple[int, ...] = (0,)) -> Tensor:
    """Values brought to mean 0 and deviation 1 by the statistics of some rows, the training rows.

    Statistics of all rows would let validation and test examples have a part in training.

    Args:
        values: (N, ...) tensor or array of numbers; read whole.
        rows: row numbers, such as `split_rows(N)["train"]`.
        over: dimensions that are averaged over; by default the examples alone, so that every feature has its own
            mean. (0, 2) suits (N, channels, length).

    Returns:
        (N, ...) float32, in memory. What does not vary in the rows has deviation 1.

    Raises:
        ValueError: no rows, or values that are NaN or infinite in them.
    """
    import numpy as np
    import torch

    whole = torch.as_tensor(np.array(values) if isinstance(values, np.ndarray) else values).to(torch.float64)
    known = whole[torch.as_tensor(np.array(rows) if isinstance(rows, np.ndarray) else rows)]
    if not known.numel() or not known.isfinite().all():
        raise ValueError(
            f"the {len(known)} rows must be at least one and finite; fill missing values or leave their rows out first"
        )
    mean = known.mean(over, keepdim=True)
    deviation = known.std(over, correction=0, keepdim=True)
    deviation[deviation == 0] = 1.0
    return ((whole - mean) / deviation).to(torch.float32)
