import hashlib
import pickle
import subprocess
import sys
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10, CIFAR100

from ray_asng import tasks
from ray_asng.tasks.cifar_files import CIFAR_FILES


def write_part(folder, name, label_key, num_labels, count, seed):
    """A file of the real layout with `count` random images; returns its name and checksum."""
    rng = np.random.default_rng(seed)
    entry = {
        "data": rng.integers(0, 256, (count, 3072), dtype=np.uint8),
        label_key: rng.integers(0, num_labels, count).tolist(),
    }
    (folder / name).write_bytes(pickle.dumps(entry))
    return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]


def install(monkeypatch, root, dataset, label_key, num_labels, train_names, test_name):
    """Write small files in the layout of `dataset`, and let torchvision expect the checksums of these."""
    folder = root / dataset.base_folder
    folder.mkdir(parents=True)
    train = [write_part(folder, name, label_key, num_labels, 6, seed) for seed, name in enumerate(train_names)]
    test = [write_part(folder, test_name, label_key, num_labels, 7, 99)]
    meta = folder / dataset.meta["filename"]
    meta.write_bytes(pickle.dumps({dataset.meta["key"]: [f"class {i}" for i in range(num_labels)]}))
    monkeypatch.setattr(dataset, "train_list", train)
    monkeypatch.setattr(dataset, "test_list", test)
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": hashlib.md5(meta.read_bytes()).hexdigest()})
    return folder


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A data folder with CIFAR-10 in five files of 6 images each and one of 7."""
    monkeypatch.delenv("RAY_ASNG_DATA", raising=False)
    names = [f"data_batch_{i}" for i in range(1, 6)]
    install(monkeypatch, tmp_path / "data", CIFAR10, "labels", 10, names, "test_batch")
    return tmp_path / "data"


def everything(task, split):
    return task.batch(split, torch.arange(task.size(split)))


def raw(task, split):
    inputs, _ = everything(task, split)
    scaled = inputs * task.std.view(1, 3, 1, 1) + task.mean.view(1, 3, 1, 1)
    return (scaled * 255).round().to(torch.uint8).numpy()


def test_images_and_labels_are_those_of_the_files_in_their_order(root):
    task = tasks.cifar10(data_dir=root)
    folder = root / "cifar-10-batches-py"
    parts = [pickle.loads((folder / f"data_batch_{i}").read_bytes()) for i in range(1, 6)]
    test = pickle.loads((folder / "test_batch").read_bytes())
    assert np.array_equal(raw(task, "train_valid").reshape(30, -1), np.concatenate([part["data"] for part in parts]))
    assert everything(task, "train_valid")[1].tolist() == [label for part in parts for label in part["labels"]]
    assert np.array_equal(raw(task, "test").reshape(7, -1), test["data"])
    assert everything(task, "test")[1].tolist() == test["labels"]
    assert task.network_options == {"classes": 10, "in_channels": 3}


def test_cifar100_takes_the_100_fine_labels(tmp_path, monkeypatch):
    folder = install(monkeypatch, tmp_path, CIFAR100, "fine_labels", 100, ["train"], "test")
    task = tasks.cifar100(data_dir=tmp_path)
    assert everything(task, "test")[1].tolist() == pickle.loads((folder / "test").read_bytes())["fine_labels"]
    assert task.network_options["classes"] == 100
    assert task.name == "cifar100"


def test_the_files_are_unpickled_once_and_the_data_folder_is_left_as_it_was(root, monkeypatch):
    before = sorted(root.rglob("*"))
    first = raw(tasks.cifar10(data_dir=root), "train_valid")
    assert sorted(root.rglob("*")) == before

    def refuse(*args, **options):
        raise AssertionError("the files were read again")

    monkeypatch.setattr(CIFAR10, "__init__", refuse)
    assert np.array_equal(raw(tasks.cifar10(data_dir=root), "train_valid"), first)


@pytest.mark.parametrize("name", CIFAR_FILES)
def test_the_files_have_the_names_that_torchvision_gives_them(name):
    files = CIFAR_FILES[name]
    assert files.dataset in (CIFAR10, CIFAR100)
    assert files.folder == files.dataset.base_folder
    assert list(files.train_files) == [file for file, _ in files.dataset.train_list]
    assert list(files.test_files) == [file for file, _ in files.dataset.test_list]
    assert files.meta_file == files.dataset.meta["filename"]


def test_a_start_from_decoded_copies_loads_neither_torchvision_nor_ray_nor_scipy(root):
    tasks.cifar10(data_dir=root)
    code = (
        "import sys\n"
        "from ray_asng import tasks\n"
        f"task = tasks.cifar10(data_dir={str(root)!r})\n"
        "print(task.size('train_valid'), *({'torchvision', 'ray', 'scipy', 'sklearn', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "30\n", done.stderr


def test_size_and_subset_cut_the_data(root):
    full = raw(tasks.cifar10(data_dir=root), "train_valid")
    task = tasks.cifar10(data_dir=root, size=16, train_images=10, test_images=4)
    assert (task.size("train"), task.size("valid"), task.size("test")) == (5, 5, 4)
    assert task.image_shape == (3, 16, 16)
    expected = Image.fromarray(full[9].transpose(1, 2, 0)).resize((16, 16), Image.Resampling.BILINEAR)
    assert np.array_equal(raw(task, "train_valid")[9], np.asarray(expected).transpose(2, 0, 1))
    assert task.augmentation.pad == 2
    assert task.augmentation.flip


def test_options_reach_the_task(root):
    task = tasks.cifar10(
        data_dir=root, split_seed=3, train_fraction=0.8, pad=1, flip=False, cutout=16, mean=[0.5] * 3, std=[0.25] * 3
    )
    assert (task.size("train"), task.size("valid")) == (24, 6)
    assert (task.augmentation.pad, task.augmentation.flip, task.augmentation.cutout) == (1, False, 16)
    assert (task.mean.tolist(), task.std.tolist()) == ([0.5] * 3, [0.25] * 3)
    other = tasks.cifar10(data_dir=root, split_seed=4, train_fraction=0.8)
    assert not torch.equal(everything(task, "train")[1], everything(other, "train")[1])


def test_the_folder_can_come_from_the_environment(root, monkeypatch):
    monkeypatch.setenv("RAY_ASNG_DATA", str(root))
    assert tasks.cifar10().size("test") == 7


def test_missing_data_are_an_error_that_says_how_to_get_them(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        tasks.cifar10(data_dir=tmp_path)
    for part in (str(tmp_path), "`ray-asng prepare cifar10`", "data_dir", "RAY_ASNG_DATA", "cifar-10-batches-py"):
        assert part in str(caught.value)


def test_damaged_files_are_refused(root):
    file = root / "cifar-10-batches-py" / "data_batch_3"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"are damaged: .* Delete the folder and run `ray-asng prepare cifar10`"):
        tasks.cifar10(data_dir=root)


@pytest.mark.parametrize("option", [{"train_images": 31}, {"test_images": 8}, {"train_images": 0}])
def test_a_subset_that_cannot_be_had_is_refused(root, option):
    [(name, value)] = option.items()
    with pytest.raises(ValueError, match=f"{name}={value}, but cifar10's .* part has .* images"):
        tasks.cifar10(data_dir=root, **option)


def test_prepare_downloads_nothing_that_is_there_and_decodes_it(root, cache_folder, monkeypatch):
    monkeypatch.setattr(CIFAR10, "download", lambda self: pytest.fail("downloaded"))
    sentence = tasks.prepare("cifar10", data_dir=root)
    assert "30 development and 7 test images of 3 x 32 x 32 in 10 classes" in sentence
    assert str(root) in sentence
    assert str(cache_folder) in sentence
    assert len(list(cache_folder.glob("cifar10-*.npy"))) == 4


def test_a_download_that_fails_says_what_to_put_where(tmp_path, monkeypatch):
    def offline(self):
        raise URLError("no route to host")

    monkeypatch.setattr(CIFAR10, "download", offline)
    with pytest.raises(ConnectionError) as caught:
        tasks.prepare("cifar10", data_dir=tmp_path)
    for part in ("no route to host", CIFAR10.url, str(tmp_path / "cifar-10-batches-py"), "data_dir"):
        assert part in str(caught.value)
