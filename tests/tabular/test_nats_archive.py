"""The official release, imitated here as the published code writes it, becomes a table."""

import bz2
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from ray_asng.supernets.nasbench201_space import from_string
from ray_asng.tabular.nasbench201 import NASBench201Table
from ray_asng.tabular.nats_archive import convert

CELLS = [
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|",
]
PARTS = {
    "cifar10-valid": ["x-valid", "ori-test"],
    "cifar10": ["ori-test"],
    "cifar100": ["ori-test", "x-valid", "x-test"],
    "ImageNet16-120": ["ori-test", "x-valid", "x-test"],
}
SECONDS = {"cifar10-valid": 10.0, "cifar10": 20.0, "cifar100": 20.0, "ImageNet16-120": 60.0}


def accuracy(index, dataset, part, seed, epochs):
    """A number that tells all of these apart."""
    return 10.0 * index + list(PARTS).index(dataset) + PARTS[dataset].index(part) / 10 + seed / 1e4 + epochs / 1e7


def run(index, dataset, seed, epochs):
    """What is logged of one training; only some parts are evaluated after every epoch."""
    accuracies = {f"{part}@{epochs - 1}": accuracy(index, dataset, part, seed, epochs) for part in PARTS[dataset]}
    accuracies[f"{PARTS[dataset][0]}@0"] = np.float64(1.0)
    return {
        "name": dataset,
        "net_state_dict": None,
        "train_acc1es": OrderedDict({epoch: np.float64(epoch) for epoch in range(epochs)}),
        "train_times": OrderedDict.fromkeys(range(epochs), SECONDS[dataset] + index),
        "arch_config": {"channel": 16, "num_cells": 5, "arch_str": CELLS[index], "class_num": 10},
        "params": 0.1 + index,
        "flop": (5.0 if dataset == "ImageNet16-120" else 15.64737) + index,
        "seed": str(seed),
        "epochs": epochs,
        "latency": [np.float64(0.01)],
        "eval_names": PARTS[dataset],
        "eval_acc1es": accuracies,
    }


def results(index, epochs, seeds):
    return {
        "arch_index": index,
        "arch_str": CELLS[index],
        "all_results": {(name, seed): run(index, name, seed, epochs) for name in PARTS for seed in seeds},
        "dataset_seed": dict.fromkeys(PARTS, sorted(seeds)),
        "clear_net_done": True,
    }


def save(content, path):
    with bz2.open(path, "wb") as file:
        pickle.dump(content, file, protocol=4)


@pytest.fixture
def archive(tmp_path):
    folder = tmp_path / "NATS-tss-v1_0-3ffb9-simple"
    folder.mkdir()
    meta = {"meta_archs": CELLS, "total_archs": len(CELLS), "arch2infos": None, "evaluated_indexes": set()}
    save(meta, folder / "meta.pickle.pbz2")
    for index in range(len(CELLS)):
        logged = OrderedDict({"12": results(index, 12, [777]), "200": results(index, 200, [999, 777])})
        save(logged, folder / f"{index:06d}.pickle.pbz2")
    return folder


@pytest.fixture
def table(archive, tmp_path):
    return NASBench201Table(convert(archive, tmp_path / "made.parquet"))


@pytest.mark.parametrize(
    ("dataset", "split", "logged", "part"),
    [
        ("cifar10", "valid", "cifar10-valid", "x-valid"),
        ("cifar10", "test", "cifar10", "ori-test"),
        ("cifar100", "valid", "cifar100", "x-valid"),
        ("cifar100", "test", "cifar100", "x-test"),
        ("cifar100", "valtest", "cifar100", "ori-test"),
        ("ImageNet16-120", "valid", "ImageNet16-120", "x-valid"),
        ("ImageNet16-120", "test", "ImageNet16-120", "x-test"),
        ("ImageNet16-120", "valtest", "ImageNet16-120", "ori-test"),
    ],
)
def test_accuracies_are_those_after_the_last_epoch(table, dataset, split, logged, part):
    for index, cell in enumerate(map(from_string, CELLS)):
        seeds = [accuracy(index, logged, part, seed, 200) for seed in (777, 999)]
        assert table.accuracy_of_seeds(cell, dataset, split) == pytest.approx(seeds)
        assert table.accuracy(cell, dataset, split) == pytest.approx(np.mean(seeds))
        assert table.accuracy(cell, dataset, split, 12) == pytest.approx(accuracy(index, logged, part, 777, 12))


def test_costs_are_whole_numbers_and_seconds_those_of_all_epochs(table):
    cell = from_string(CELLS[1])
    assert (table.parameters(cell), table.flops(cell), table.flops(cell, "ImageNet16-120")) == (
        1_100_000,
        16_647_370,
        6_000_000,
    )
    assert [table.seconds(cell, name) for name in ("cifar10", "cifar100", "ImageNet16-120")] == [2200, 4200, 12200]
    assert table.seconds(cell, epochs=12) == pytest.approx(132)


def test_what_could_run_code_is_refused_and_not_run(archive, tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    save({"12": Harmful()}, archive / "000001.pickle.pbz2")
    with pytest.raises(ValueError, match=r"000001.*holds \w+\.mkdir, where only containers and numbers are expected"):
        convert(archive, tmp_path / "made.parquet")
    assert not (tmp_path / "harm").exists()


def test_a_conversion_that_fails_leaves_the_old_table_and_nothing_else(archive, tmp_path):
    target = tmp_path / "made.parquet"
    convert(archive, target)
    before = target.read_bytes()
    (archive / "000001.pickle.pbz2").unlink()
    with pytest.raises(FileNotFoundError, match=r"000001\.pickle\.pbz2; unpack all"):
        convert(archive, target)
    assert target.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [archive.name, target.name]


def test_a_damaged_file_is_named(archive, tmp_path):
    path = archive / "000000.pickle.pbz2"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"000000\.pickle\.pbz2 is no file of the NATS-Bench release, or is damaged"):
        convert(archive, tmp_path / "made.parquet")


@pytest.mark.parametrize("logged", [{}, {"12": {}}, [], {"12": results(0, 12, [777]), "200": results(0, 200, [])}])
def test_another_layout_is_named(archive, tmp_path, logged):
    save(logged, archive / "000000.pickle.pbz2")
    with pytest.raises(ValueError, match=r"000000\.pickle\.pbz2 is not laid out like the NATS-Bench release"):
        convert(archive, tmp_path / "made.parquet")


def test_cells_of_another_space_are_named(archive, tmp_path):
    save({"meta_archs": ["64:64:64:64:64"]}, archive / "meta.pickle.pbz2")
    with pytest.raises(ValueError, match=r"names '64:64:64:64:64', which is no cell of NAS-Bench-201"):
        convert(archive, tmp_path / "made.parquet")
