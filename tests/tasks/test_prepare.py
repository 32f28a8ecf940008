import subprocess
import sys

import pytest

from ray_asng import registry, tasks


def test_importing_tasks_imports_no_library_that_reads_or_computes():
    code = (
        "import sys; from ray_asng import tasks; tasks.digits; "
        "print([m for m in ('torch', 'torchvision', 'pyarrow', 'PIL', 'sklearn', 'ray') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_builders_are_found_by_their_registered_names_and_in_tasks_alike():
    for name in ("digits", "cifar10", "cifar100", "images"):
        assert registry.tasks[name] is getattr(tasks, name)


def test_digits_need_no_preparation():
    assert "digits: 1437 development and 360 test images of 1 x 8 x 8 in 10 classes" in tasks.prepare("digits")


def test_prepared_images_are_not_decoded_again(real_cifar10, cache_folder):
    files = {"train": "cifar10_webp_train.parquet", "test": "cifar10_webp_test.parquet"}
    options = {**files, "size": 8, "train_images": 100, "test_images": 50}
    sentence = tasks.prepare("images", data_dir=real_cifar10, **options)
    assert "100 development and 50 test images of 3 x 8 x 8 in 10 classes" in sentence
    assert str(cache_folder) in sentence
    before = {path: path.stat().st_mtime_ns for path in cache_folder.glob("*.npy")}
    assert len(before) == 2
    tasks.images(data_dir=real_cifar10, **options)
    assert {path: path.stat().st_mtime_ns for path in cache_folder.glob("*.npy")} == before


def test_an_unknown_task_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match="unknown task 'cifar-10'; did you mean 'cifar10'"):
        tasks.prepare("cifar-10")
