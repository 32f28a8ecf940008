"""Looking cells up: a tiny table made here, and facts of the published one where it is at hand."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_asng.supernets.nasbench201_space import from_string, nasbench201_space
from ray_asng.tabular.nasbench201 import NASBench201Table

OPERATIONS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
CELLS = [
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|avg_pool_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|nor_conv_3x3~1|avg_pool_3x3~2|",
]
CODES = [(3, 3, 3, 1, 3, 2), (0, 0, 0, 0, 0, 0), (4, 0, 1, 2, 3, 4)]


def write(path, *, metadata=None, **replaced):
    edges = ["0_1", "0_2", "1_2", "0_3", "1_3", "2_3"]
    columns = {
        f"op_{edge}": pa.array(codes, pa.int8()) for edge, codes in zip(edges, zip(*CODES, strict=True), strict=True)
    }
    columns |= {
        "cifar10_valid_acc_200": [90.5, 10.0, None],
        "cifar10_test_acc_200": [94.0, 10.0, 95.0],
        "cifar10_valid_acc_200_seeds": [[90.0, 91.0], [10.0], []],
        "imagenet16_120_test_acc_12": [40.0, 0.8, 20.0],
        "cifar10_valid_train_time_200_s": [2000.0, 100.0, 500.0],
        "imagenet16_120_train_time_200_s": [6000.0, 400.0, 900.0],
        "params": [1_000_000, 73_306, 200_000],
        "flops_cifar10": [150_000_650, 7_783_050, 20_000_000],
        "flops_imagenet16_120": [40_000_000, 1_953_400, 5_000_000],
    }
    table = pa.table({**columns, **replaced})
    if metadata is None:
        metadata = {"ops": json.dumps(OPERATIONS)}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


@pytest.fixture
def tiny(tmp_path):
    return NASBench201Table(write(tmp_path / "tiny.parquet"))


def test_a_cell_is_found_by_its_operations(tiny):
    assert [tiny.row(from_string(cell)) for cell in CELLS] == [0, 1, 2]
    assert [tiny.architecture(row) for row in range(len(tiny))] == [from_string(cell) for cell in CELLS]


def test_answers_are_those_of_the_columns(tiny):
    first, nothing = map(from_string, CELLS[:2])
    assert tiny.accuracy(first) == 90.5
    assert tiny.accuracy(first, "cifar10", "test") == 94.0
    assert tiny.accuracy(nothing, "ImageNet16-120", "test", 12) == 0.8
    assert tiny.accuracy_of_seeds(first) == (90.0, 91.0)
    assert tiny.seconds(first) == 2000.0
    assert tiny.seconds(first, "ImageNet16-120", epochs=12) == 360.0
    assert tiny.flops(first, "ImageNet16-120") == 40_000_000


def test_the_head_of_more_classes_counts(tiny):
    """64 weights and a bias for each class."""
    first = from_string(CELLS[0])
    assert [tiny.parameters(first, name) for name in ("cifar10", "cifar100", "ImageNet16-120")] == [
        1_000_000,
        1_000_000 + 90 * 65,
        1_000_000 + 110 * 65,
    ]
    assert tiny.flops(first, "cifar100") == tiny.flops(first) + 90 * 65


def test_the_best_cell_is_the_one_with_the_highest_accuracy(tiny):
    assert tiny.best("cifar10", "valid") == from_string(CELLS[0])
    assert tiny.best("cifar10", "test") == from_string(CELLS[2])


def test_a_caller_may_change_the_accuracies_he_was_given(tiny):
    tiny.accuracies()[:] = 0.0
    np.testing.assert_array_equal(tiny.accuracies(), [90.5, 10.0, np.nan])


@pytest.mark.parametrize("ask", ["accuracy", "accuracy_of_seeds"])
def test_a_value_that_the_table_lacks_is_no_number(tiny, ask):
    with pytest.raises(ValueError, match=r"column 'cifar10_valid_acc_200\w*' of .* has no value for"):
        getattr(tiny, ask)(from_string(CELLS[2]))


def test_a_cell_that_the_table_lacks_is_named(tiny):
    with pytest.raises(ValueError, match=r"no row for .*'edge_0_1': 'nor_conv_1x1'.*holds 3 cells"):
        tiny.row(dict.fromkeys(nasbench201_space().names, "nor_conv_1x1"))


def test_an_unknown_operation_is_refused_with_the_nearest(tiny):
    cell = {**from_string(CELLS[0]), "edge_1_3": "conv_3x3"}
    with pytest.raises(ValueError, match=r"edge_1_3 .* got 'conv_3x3'; did you mean 'nor_conv_3x3'"):
        tiny.row(cell)


def test_an_unknown_data_set_is_refused_with_the_nearest(tiny):
    for ask in (tiny.accuracy, tiny.seconds, tiny.parameters, tiny.flops):
        with pytest.raises(ValueError, match=r"unknown data set 'cifar-10'; did you mean 'cifar10'"):
            ask(from_string(CELLS[0]), "cifar-10")


def test_a_column_that_the_table_lacks_is_refused_with_the_nearest(tiny):
    with pytest.raises(ValueError, match=r"no column 'cifar10_valid_acc_90'; did you mean 'cifar10_valid_acc_200'"):
        tiny.accuracy(from_string(CELLS[0]), epochs=90)


def test_a_missing_table_is_refused_with_the_ways_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ASNG_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"RAY_ASNG_DATA or pass path=; .*nats_archive.convert"):
        NASBench201Table()


def test_a_relative_path_is_one_within_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ASNG_DATA", str(tmp_path))
    write(tmp_path / "nasbench201.parquet")
    assert len(NASBench201Table()) == 3


def test_another_file_is_refused(tmp_path):
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(ValueError, match="not a Parquet file, or is damaged"):
        NASBench201Table(tmp_path / "text.parquet")
    with pytest.raises(ValueError, match="metadata lack `ops`"):
        NASBench201Table(write(tmp_path / "other.parquet", metadata={}))
    codes = pa.array([3, 0, 9], pa.int8())
    with pytest.raises(ValueError, match="option indices that its list of operations"):
        NASBench201Table(write(tmp_path / "codes.parquet", op_0_1=codes))


@pytest.fixture(scope="module")
def published():
    folder = os.environ.get("RAY_ASNG_DATA")
    if not folder or not Path(folder, "nasbench201.parquet").is_file():
        pytest.skip("needs nasbench201.parquet in the folder that RAY_ASNG_DATA names")
    return NASBench201Table()


@pytest.mark.parametrize(("dataset", "accuracy"), [("cifar10", 94.37), ("cifar100", 73.51), ("ImageNet16-120", 47.31)])
def test_the_published_optimum_is_the_best_of_the_table(published, dataset, accuracy):
    assert published.accuracies(dataset, "test").max() == pytest.approx(accuracy, abs=0.005)
    assert published.accuracy(published.best(dataset, "test"), dataset, "test") == pytest.approx(accuracy, abs=0.005)


@pytest.mark.parametrize(("operation", "accuracy"), [("none", 10.0), ("skip_connect", 54.30)])
def test_cells_of_one_operation_have_their_published_accuracy(published, operation, accuracy):
    cell = dict.fromkeys(nasbench201_space().names, operation)
    assert published.accuracy(cell, "cifar10", "test") == pytest.approx(accuracy, abs=0.005)


def test_every_cell_of_the_space_has_its_row_under_its_published_notation(published):
    assert len(published) == nasbench201_space().size == 15_625
    notations = pq.read_table(published.path, columns=["arch"]).column(0).to_pylist()
    rng = np.random.default_rng(0)
    for row in rng.integers(len(published), size=200).tolist():
        assert published.row(from_string(notations[row])) == row
        assert published.architecture(row) == from_string(notations[row])


def test_parameters_and_multiply_adds_are_those_of_the_network(published):
    """The skeleton without cells: 16, 32 and 64 channels, two residual blocks, a head of 64 features and a bias."""
    cell = dict.fromkeys(nasbench201_space().names, "none")
    more = dict.fromkeys(nasbench201_space().names, "nor_conv_3x3")
    blocks = sum(9 * c * 2 * c + 2 * 2 * c + 9 * 4 * c * c + 2 * 2 * c + 2 * c * c for c in (16, 32))
    skeleton = 3 * 9 * 16 + 32 + blocks + 2 * 64 + 65 * 10
    assert published.parameters(cell) == skeleton
    assert published.parameters(cell, "cifar100") == skeleton + 65 * 90
    cells = sum(5 * 6 * (9 * c * c + 2 * c) for c in (16, 32, 64))
    assert published.parameters(more) == skeleton + cells
    # A quarter of the pixels, and a head of 120 classes.
    images = (published.flops(more) - 650) / 4 + 65 * 120
    assert published.flops(more, "ImageNet16-120") == images
    assert published.flops(more, "cifar100") - published.flops(more) == 65 * 90
