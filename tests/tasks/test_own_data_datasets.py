"""Tasks on map-style data sets of torch: read once, into memory or into a file."""

import logging
import multiprocessing
import os
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset
from torchvision import transforms

from ray_asng.tasks import dataset_reader, from_dataset, from_tensors
from ray_asng.tasks.rows import MappedRows
from ray_asng.testing import check_task

DIGITS = load_digits()


class Pictures(Dataset):
    """Digits as a data set gives them whose transform makes tensors of pictures."""

    def __init__(self, count=100, transform=transforms.PILToTensor(), log=None):  # noqa: B008  # holds no state
        self.count = count
        self.transform = transform
        self.log = log

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if self.log is not None:
            with self.log.open("a") as file:
                file.write("read\n")
        picture = Image.fromarray((DIGITS.images[index] * 15).astype(np.uint8))
        return self.transform(picture), int(DIGITS.target[index])


class Items(list):
    """A data set that is a list; a list itself is one too."""


def flip(inputs, generator):
    return torch.where(torch.rand(len(inputs), 1, 1, 1, generator=generator) < 0.5, inputs.flip(-1), inputs)


def everything(task, split="train_valid"):
    return task.batch(split, torch.arange(task.size(split)))


def same(one, other):
    return all(
        torch.equal(a, b)
        for split in ("train", "valid", "test")
        for a, b in zip(everything(one, split), everything(other, split), strict=True)
    )


def pictures_by_hand():
    pixels = (DIGITS.images[:100] * 15).astype(np.uint8)[:, None]
    return from_tensors(pixels, DIGITS.target[:100])


def test_a_data_set_gives_the_task_of_its_tensors():
    task = from_dataset(Pictures())
    assert same(task, pictures_by_hand())
    assert task.network_options == {"classes": 10, "in_channels": 1}


def test_in_a_file_it_gives_the_same_task_on_memory_maps(tmp_path):
    task = from_dataset(Pictures(), cache_dir=tmp_path)
    assert same(task, pictures_by_hand())
    assert isinstance(task._inputs.columns[0], MappedRows)
    assert same(pickle.loads(pickle.dumps(task)), task)
    assert len(pickle.dumps(task)) < 10_000


@pytest.mark.parametrize("cached", [False, True])
def test_tasks_on_data_sets_keep_the_contract_of_a_task(tmp_path, cached):
    folder = tmp_path if cached else None
    scaled = transforms.ToTensor()
    check_task(lambda: from_dataset(Pictures(transform=scaled), cache_dir=folder, augment=flip, name="digits"))


@pytest.mark.parametrize("cached", [False, True])
def test_several_inputs_and_targets_of_any_form_are_read(tmp_path, cached):
    items = [
        ({"wide": torch.arange(3) + i, "narrow": np.float32(i)}, torch.tensor([i / 2, -i], dtype=torch.float64))
        for i in range(20)
    ]
    inputs, targets = everything(from_dataset(Items(items), cache_dir=tmp_path if cached else None))
    rows = inputs["narrow"].long()
    assert torch.equal(inputs["wide"], torch.arange(3) + rows[:, None])
    assert torch.equal(targets, torch.stack([rows / 2, -rows], 1))
    pair = from_dataset([((x["wide"], x["narrow"]), y[0]) for x, y in items])
    assert isinstance(everything(pair)[0], tuple)


def test_subsets_and_tensor_data_sets_serve_as_separate_parts():
    whole = TensorDataset(torch.arange(40.0).reshape(20, 2), torch.arange(20.0))
    parts = [Subset(whole, list(range(start, start + 5))) for start in (0, 5, 10)]
    task = from_dataset(parts[0], valid=parts[1], test=parts[2])
    assert [everything(task, split)[1].tolist() for split in ("train", "valid", "test")] == [
        [0.0, 1.0, 2.0, 3.0, 4.0],
        [5.0, 6.0, 7.0, 8.0, 9.0],
        [10.0, 11.0, 12.0, 13.0, 14.0],
    ]


def test_a_file_is_made_once_and_used_from_then_on(tmp_path):
    log = tmp_path / "log"
    from_dataset(Pictures(log=log), cache_dir=tmp_path / "cache")
    first = len(log.read_text().splitlines())
    assert first >= 100
    from_dataset(Pictures(log=log), cache_dir=tmp_path / "cache")
    assert len(log.read_text().splitlines()) - first < 30
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".lock", ".npy"]


def test_another_transform_or_length_is_read_anew(tmp_path):
    brighter = transforms.Compose([transforms.PILToTensor(), lambda pixels: pixels + 1])
    for dataset in (Pictures(), Pictures(transform=brighter), Pictures(count=90)):
        task = from_dataset(dataset, cache_dir=tmp_path)
        assert same(task, from_dataset(dataset))
    assert len(list(tmp_path.glob("*.npy"))) == 3


def build_at_once(barrier, folder, log, answers):
    barrier.wait()
    task = from_dataset(Pictures(log=log), cache_dir=folder)
    answers.put(int(everything(task)[0].sum()))


def test_of_processes_that_start_together_one_reads(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(3), context.Queue()
    arguments = (barrier, tmp_path / "cache", tmp_path / "log", answers)
    workers = [context.Process(target=build_at_once, args=arguments) for _ in range(3)]
    for worker in workers:
        worker.start()
    sums = {answers.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join()
    assert len(sums) == 1
    # Each looks at a few items, one reads the 100.
    assert 100 < len((tmp_path / "log").read_text().splitlines()) < 180


def test_a_file_cut_off_by_a_killed_process_is_made_anew(tmp_path):
    from_dataset(Pictures(), cache_dir=tmp_path)
    [file] = tmp_path.glob("*.npy")
    file.write_bytes(file.read_bytes()[:500])
    assert same(from_dataset(Pictures(), cache_dir=tmp_path), pictures_by_hand())


def test_reading_that_takes_long_says_how_far_it_is(monkeypatch, caplog):
    monkeypatch.setattr(dataset_reader, "_SECONDS_BETWEEN_WORDS", -1.0)
    with caplog.at_level(logging.INFO):
        from_dataset(Pictures(), name="digits")
    assert "read 50 of 100 items of the data set digits" in caplog.text


def test_a_random_transform_is_refused_with_the_argument_that_serves_it():
    random_crop = transforms.Compose([transforms.RandomCrop(8, padding=3), transforms.PILToTensor()])
    with pytest.raises(ValueError, match=r"item \d+ of the data set own_data is not the same .*augment="):
        from_dataset(Pictures(transform=random_crop))


def test_data_larger_than_the_memory_need_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 100)
    with pytest.raises(MemoryError, match="give cache_dir="):
        from_dataset(Pictures())
    assert from_dataset(Pictures(), cache_dir=tmp_path).size("test") == 20


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file/cache cannot be made .*; name a folder that can be written"):
        from_dataset(Pictures(), cache_dir=tmp_path / "file" / "cache")


class Endless(IterableDataset):
    def __iter__(self):
        yield torch.zeros(2), 0


class Lying(Items):
    def __len__(self):
        return super().__len__() + 1


def items(*changed):
    """Ten sound items, some changed: (index, item)."""
    sound = [(torch.zeros(2), index % 2) for index in range(10)]
    for index, item in changed:
        sound[index] = item
    return sound


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        (Endless(), TypeError, "the data set own_data must have __len__ and __getitem__, got a Endless"),
        ((x for x in items()), TypeError, "got a generator"),
        ([], ValueError, "the data set own_data is empty"),
        (items((3, (torch.zeros(3), 0))), ValueError, r"item 3 of the data set own_data has inputs of shape \(3,\)"),
        (items((9, (torch.zeros(2), 0.5))), ValueError, "item 9 .* has target of shape .* type float32, item 0"),
        (items((4, ((torch.zeros(2),), 0))), ValueError, r"item 4 .* has \['inputs\[0\]', 'target'\], item 0 has"),
        (items((0, torch.zeros(2, 3, 4))), TypeError, r"must be a pair \(inputs, target\), got a Tensor"),
        (items((0, {"image": 1})), TypeError, "got a dict; wrap the data set in one that gives pairs"),
        (items((0, ("word", 1))), TypeError, "inputs of type str; give the data set a transform"),
        (items((0, (np.array(["word"]), 1))), TypeError, "inputs of <U4; encode it as numbers"),
        (Pictures(transform=lambda picture: picture), TypeError, "inputs of type Image; .*PILToTensor"),
        (Lying(items()), ValueError, "item 10 of the data set own_data, of 11, cannot be read"),
        (items((7, (torch.tensor([0.0, torch.nan]), 1))), ValueError, "inputs are NaN in row 7"),
    ],
)
def test_data_sets_that_cannot_be_read_are_refused_with_the_index(dataset, error, message):
    with pytest.raises(error, match=message):
        from_dataset(dataset)
