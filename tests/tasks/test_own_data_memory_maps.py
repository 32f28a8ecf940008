"""Data larger than memory: they stay in their file, and a batch reads its rows."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from ray_asng.tasks import from_tensors
from ray_asng.tasks.rows import MappedRows, mapped_root
from ray_asng.testing import check_task

LABELS = np.arange(60) % 3


@pytest.fixture
def path(tmp_path):
    values = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
    np.save(tmp_path / "values.npy", values)
    return tmp_path / "values.npy"


def everything(task, split="train_valid"):
    return task.batch(split, torch.arange(task.size(split)))[0]


CHILD = """
import resource, sys
import numpy as np, torch
from ray_asng.tasks import from_tensors

def used(field):
    line = next(line for line in open("/proc/self/status") if line.startswith(field))
    return int(line.split()[1]) * 1024

rows = 4096
data = np.memmap(sys.argv[1], np.float32, "r", shape=(rows, 1 << 18))
task = from_tensors(data, np.arange(rows) % 2)
before = used("VmRSS")
resource.setrlimit(resource.RLIMIT_DATA, (used("VmData") + (1 << 29),) * 2)
for start in range(0, 64, 8):
    inputs, _ = task.batch("train", torch.arange(start, start + 8))
    del inputs
print(data.nbytes, used("VmRSS") - before)
try:
    np.array(data)
    print("copied")
except MemoryError:
    print("too large to copy")
"""


def test_a_file_larger_than_the_memory_that_may_be_allocated_serves_batches(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 32)
    found = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "sparse")], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    size, grown = map(int, found[0].split())
    assert size == 1 << 32
    # 64 rows of 1 MiB were read, each into the page cache and into a batch.
    assert grown < 1 << 28
    assert found[1] == "too large to copy"


@pytest.mark.parametrize("mode", ["r", "c", "r+"])
def test_batches_of_a_file_are_those_of_its_array_without_a_warning(path, mode, recwarn):
    task = from_tensors(np.load(path, mmap_mode=mode), LABELS)
    assert torch.equal(everything(task), everything(from_tensors(np.load(path), LABELS)))
    assert not recwarn.list


VIEWS = {
    "later rows": lambda values: values[10:],
    "some columns": lambda values: values[:, 1:3],
    "every other row": lambda values: values[::2],
    "backwards": lambda values: values[::-1],
    "reshaped": lambda values: values.reshape(60, 2, 2),
    "plain array": lambda values: np.asarray(values)[5:, ::-1],
    "view of bytes": lambda values: np.ndarray((30, 4), np.float32, buffer=values.view(np.uint8), offset=32),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_of_a_file_stay_in_it_and_keep_their_values(path, name):
    view = VIEWS[name](np.load(path, mmap_mode="r"))
    rows = MappedRows("inputs", view, torch.float32)
    for each in (rows, pickle.loads(pickle.dumps(rows))):
        assert np.array_equal(each.take(torch.arange(len(view)), torch.device("cpu")), view)


def test_files_with_an_offset_another_byte_order_or_wide_integers_are_read(tmp_path):
    values = np.arange(120, dtype=">u2").reshape(60, 2)
    (tmp_path / "raw").write_bytes(b"heading." + values.tobytes())
    task = from_tensors(np.memmap(tmp_path / "raw", ">u2", "r", 8, (60, 2)), LABELS)
    found = everything(task)
    assert found.dtype == torch.int64
    assert torch.equal(found, everything(from_tensors(values.astype(np.int64), LABELS)))


def test_a_task_on_a_file_keeps_the_contract_of_a_task(path):
    check_task(lambda: from_tensors(np.load(path, mmap_mode="r"), LABELS))


def test_a_file_stays_on_the_host_while_its_batches_are_on_the_device(path):
    task = from_tensors(np.load(path, mmap_mode="r"), LABELS).to(torch.device("meta"))
    inputs, targets = task.batch("train", torch.arange(5))
    assert (inputs.device.type, targets.device.type) == ("meta", "meta")
    # From a device without memory nothing comes back but what never went there.
    assert task._inputs.take(torch.arange(5), torch.device("cpu")).shape == (5, 4)


def test_a_pickled_task_holds_the_path_and_not_the_data(tmp_path):
    np.save(tmp_path / "large.npy", np.zeros((60, 10_000), np.float32))
    task = from_tensors(np.load(tmp_path / "large.npy", mmap_mode="r"), LABELS)
    pickled = pickle.dumps(task)
    assert len(pickled) < 20_000
    assert torch.equal(everything(pickle.loads(pickled)), everything(task))
    assert torch.equal(everything(copy.deepcopy(task)), everything(task))


def test_a_file_that_is_gone_or_cut_is_named_when_a_task_is_taken_up(path):
    pickled = pickle.dumps(from_tensors(np.load(path, mmap_mode="r"), LABELS))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"values.npy has 1080 bytes, the memory map of a task needs 1088"):
        pickle.loads(pickled)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no file .*values.npy.*same path on every machine"):
        pickle.loads(pickled)


def test_parts_in_memory_and_in_a_file_make_one_task(path):
    values = np.load(path)
    task = from_tensors(np.load(path, mmap_mode="r")[:30], LABELS[:30], valid=(values[30:50], LABELS[30:50]))
    assert set(map(tuple, everything(task).tolist())) < set(map(tuple, values.tolist()))
    assert torch.equal(everything(task, "valid"), torch.from_numpy(values[30:50]))


def test_targets_of_one_number_an_example_are_read_and_their_classes_counted(tmp_path, path):
    np.save(tmp_path / "labels.npy", LABELS)
    labels = np.load(tmp_path / "labels.npy", mmap_mode="r")
    assert from_tensors(np.load(path), labels).network_options["classes"] == 3
    with pytest.raises(ValueError, match=r"out of range in row 2 \(2\); they must lie in 0..1 for 2 classes"):
        from_tensors(np.load(path), labels, classes=2)


def test_sequences_of_targets_in_a_file_need_the_number_of_classes_and_are_checked_by_batch(tmp_path, path):
    sequences = np.tile(LABELS[:, None], 5)
    sequences[41, 2] = 7
    np.save(tmp_path / "sequences.npy", sequences)
    targets = np.load(tmp_path / "sequences.npy", mmap_mode="r")
    with pytest.raises(ValueError, match="memory map, which is not read whole: give classes="):
        from_tensors(np.load(path), targets)
    splits = {"train": range(40), "valid": [41, 42], "test": [43]}
    task = from_tensors(np.load(path), targets, classes=3, splits={k: list(v) for k, v in splits.items()})
    task.batch("train", torch.arange(40))
    with pytest.raises(ValueError, match=r"targets are out of range in row 41 \(7\); they must lie in 0..2"):
        task.batch("valid", torch.tensor([1, 0]))


def test_nan_in_a_file_is_found_when_its_row_is_drawn(path):
    np.load(path, mmap_mode="r+")[17, 2] = np.nan
    splits = {"train": list(range(30)), "valid": list(range(30, 50)), "test": list(range(50, 60))}
    task = from_tensors(np.load(path, mmap_mode="r"), LABELS, splits=splits)
    everything(task, "valid")
    for each in (task, pickle.loads(pickle.dumps(task)).to(torch.device("cpu"))):
        with pytest.raises(ValueError, match="inputs are NaN in row 17"):
            everything(each, "train")


def test_an_array_in_memory_is_no_memory_map(path):
    assert mapped_root(np.load(path)) is None
    assert mapped_root(np.array(np.load(path, mmap_mode="r"))) is None
    assert mapped_root(torch.zeros(3)) is None
