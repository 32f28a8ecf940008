import hashlib

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from ray_asng import tasks


def everything(task, split):
    return task.batch(split, torch.arange(task.size(split)))


def raw(task, split):
    """(N, 64) values from 0 to 255."""
    inputs, _ = everything(task, split)
    return ((inputs * task.std + task.mean) * 255).round().to(torch.uint8).flatten(1)


def test_digits_are_1437_development_and_360_test_images_of_one_channel():
    task = tasks.digits()
    assert [task.size(split) for split in ("train", "valid", "train_valid", "test")] == [718, 719, 1437, 360]
    assert task.image_shape == (1, 8, 8)
    assert task.network_options == {"classes": 10, "in_channels": 1}


def test_all_images_of_scikit_learn_are_there_with_their_16_levels_stretched_to_255():
    data = load_digits()
    task = tasks.digits()
    got = torch.cat([raw(task, "train_valid"), raw(task, "test")])
    expected = torch.from_numpy((data.data * 255 / 16 + 0.5).astype("uint8"))
    assert sorted(got.tolist()) == sorted(expected.tolist())


def test_the_test_images_are_the_same_for_every_split_seed_and_study():
    """The hash pins the choice itself: a change of it would make published numbers incomparable."""
    one, other = tasks.digits(split_seed=0), tasks.digits(split_seed=1, train_fraction=0.8)
    assert torch.equal(raw(one, "test"), raw(other, "test"))
    assert not torch.equal(raw(one, "train")[:100], raw(other, "train")[:100])
    assert hashlib.sha256(raw(one, "test").numpy().tobytes()).hexdigest()[:16] == "4ac48aaa145f7b95"


def test_the_test_images_hold_the_same_share_of_each_digit():
    task = tasks.digits()
    development = torch.bincount(everything(task, "train_valid")[1]) / 1437
    test = torch.bincount(everything(task, "test")[1]) / 360
    assert (development - test).abs().max() < 1 / 360


def test_labels_belong_to_their_images():
    task = tasks.digits()
    images, labels = everything(task, "train")
    model = LogisticRegression(max_iter=300).fit(images.flatten(1), labels)
    images, labels = everything(task, "test")
    assert model.score(images.flatten(1), labels) > 0.93


def test_augmentation_moves_by_at_most_one_pixel_and_never_mirrors():
    task = tasks.digits()
    plain = raw(task, "train").view(-1, 8, 8)
    inputs, _ = task.batch("train", torch.arange(718), torch.Generator().manual_seed(0))
    moved = ((inputs * task.std + task.mean) * 255).round().to(torch.uint8)[:, 0]
    padded = torch.nn.functional.pad(plain, (1, 1, 1, 1))
    shifts = torch.stack([padded[:, y : y + 8, x : x + 8] for y in range(3) for x in range(3)])
    assert (shifts == moved).flatten(2).all(dim=2).any(dim=0).all()


def test_size_resizes_the_images_and_the_crop_follows():
    task = tasks.digits(size=16)
    assert task.image_shape == (1, 16, 16)
    assert task.augmentation.pad == 2
    assert tasks.digits(size=16, pad=0).augmentation.pad == 0


@pytest.mark.parametrize("size", [0, -8, 8.0, True])
def test_an_impossible_size_is_refused(size):
    with pytest.raises(ValueError, match="size is the side of the images in pixels, at least 1"):
        tasks.digits(size=size)
