"""What a table adds to the reports of a trial; the table is made here, with a planted truth."""

import itertools
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_asng import SearchTrainable
from ray_asng.supernets.nasbench201_space import EDGES, OPERATIONS, edge_name

SMALL = {
    "space_options": {"width": 4, "cells": 1},
    "steps_per_epoch": 2,
    "batch_size": 16,
    "epochs": 2,
    "seed": 0,
    "train_fraction": 0.95,
    "table": "nasbench201",
    "ranked_cells": 6,
}
DATASETS = ("cifar10", "cifar100", "imagenet16_120")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of all cells: a 3x3 convolution is worth 3 %, a 1x1 convolution 1 %, above 50 % (CIFAR-10, test)."""
    path = tmp_path_factory.mktemp("table") / "made.parquet"
    codes = np.array(list(itertools.product(range(5), repeat=6)))
    worth = 50.0 + (3.0 * (codes == 3) + 1.0 * (codes == 2)).sum(1)
    columns = {f"op_{edge_name(*edge)[5:]}": codes[:, place] for place, edge in enumerate(EDGES)}
    for shift, dataset in enumerate(DATASETS):
        columns[f"{dataset}_valid_acc_200"] = worth - 10.0 * shift - 1.0
        columns[f"{dataset}_test_acc_200"] = worth - 10.0 * shift
    made = pa.table(columns).replace_schema_metadata({"ops": json.dumps(OPERATIONS)})
    pq.write_table(made, path)
    return {"table_options": {"path": str(path)}}


def reports(config):
    trainable = SearchTrainable(config)
    return [trainable.train() for _ in range(config["epochs"])]


def worth(architecture):
    chosen = list(json.loads(architecture).values())
    return 0.50 + 0.03 * chosen.count("nor_conv_3x3") + 0.01 * chosen.count("nor_conv_1x1")


def test_every_epoch_has_the_truth_about_its_architecture(table):
    for report in reports({**SMALL, **table}):
        assert report["table_cifar10_test_accuracy"] == pytest.approx(worth(report["architecture"]))
        assert report["table_imagenet16_120_valid_accuracy"] == pytest.approx(worth(report["architecture"]) - 0.21)


def test_the_table_has_no_influence_on_the_search(table):
    with_table = reports({**SMALL, **table})
    without = reports({key: value for key, value in SMALL.items() if key not in ("table", "ranked_cells")})
    for name in ("train_loss", "valid_loss", "path_accuracy", "architecture", "forward_passes"):
        assert [row[name] for row in with_table] == [row[name] for row in without]


def test_the_last_report_alone_has_inherited_losses_of_the_same_cells_in_all_trials(table):
    first, last = reports({**SMALL, **table})
    _, other = reports({**SMALL, **table, "seed": 1, "method": "darts"})
    assert first["inherited"] == ""
    mine, others = json.loads(last["inherited"]), json.loads(other["inherited"])
    assert len(mine) == 6
    assert [truth for _, truth in mine] == [truth for _, truth in others]
    assert [loss for loss, _ in mine] != [loss for loss, _ in others]


def test_the_reference_is_that_of_the_cells_that_the_space_has(table):
    (whole, *_), (small, *_) = (
        reports({**SMALL, **table, "ranked_cells": 0, "space_options": {**SMALL["space_options"], "operations": ops}})
        for ops in (OPERATIONS, ("skip_connect", "nor_conv_1x1"))
    )
    references = [json.loads(row["table_reference"])["table_cifar10_test_accuracy"] for row in (whole, small)]
    assert [reference["best"] for reference in references] == pytest.approx([0.68, 0.56])
    assert [reference["best_by_valid"] for reference in references] == pytest.approx([0.68, 0.56])
    assert [reference["random_mean"] for reference in references] == pytest.approx([0.548, 0.53])
    assert len(references[0]["random_quantiles"]) == 101
    assert references[1]["random_quantiles"][-1] == pytest.approx(0.56)


def test_a_table_of_another_space_is_refused(table):
    from ray_asng import OneOf

    def other(classes):
        from torch import nn

        return nn.Sequential(nn.Flatten(), OneOf({"a": nn.Linear(64, classes), "b": nn.Linear(64, classes)}))

    with pytest.raises(ValueError, match="holds cells with the decisions"):
        SearchTrainable({**SMALL, **table, "space": other, "space_options": {}})


def test_cells_to_rank_without_a_table_are_refused():
    with pytest.raises(ValueError, match="ranked_cells=6 say something of a table, and there is none"):
        SearchTrainable({**SMALL, "table": None})
