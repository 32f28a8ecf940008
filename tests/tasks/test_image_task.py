import pytest
import torch
from torch.nn import functional
from torchvision import transforms

from ray_asng.tasks.augmentation import Augmentation
from ray_asng.tasks.base import Task
from ray_asng.tasks.image_task import ImageTask, split_indices
from ray_asng.tasks.normalisation import channel_statistics


def data(count, seed=0, channels=3, side=8):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, channels, side, side), generator=generator, dtype=torch.uint8)
    return images, torch.randint(0, 4, (count,), generator=generator)


def make_task(count=40, **options):
    images, labels = data(count)
    test_images, test_labels = data(10, seed=1)
    given = {"images": images, "labels": labels, "test_images": test_images, "test_labels": test_labels}
    return ImageTask(**{"name": "random", "classes": 4, **given, **options})


def everything(task, split):
    return task.batch(split, torch.arange(task.size(split)))


def test_it_is_a_task():
    task = make_task()
    assert isinstance(task, Task)
    assert task.network_options == {"classes": 4, "in_channels": 3}
    assert (task.metric, task.higher_is_better) == ("accuracy", True)


def test_train_and_valid_share_no_image_and_make_up_the_development_images():
    train, valid = split_indices(41, 0.3, split_seed=5)
    assert len(train) == 12
    assert sorted(torch.cat([train, valid]).tolist()) == list(range(41))


def test_the_split_depends_on_its_seed_alone():
    def rows(images, **options):
        numbered = {"labels": torch.arange(40), "test_labels": torch.zeros(10, dtype=torch.int64), "classes": 40}
        return everything(make_task(images=images, **numbered, **options), "train")[1]

    first = rows(data(40)[0], split_seed=3)
    torch.manual_seed(17)
    other_options = {"augmentation": Augmentation(2, True, 4), "mean": [0.5] * 3, "std": [0.2] * 3}
    assert torch.equal(first, rows(data(40, seed=8)[0], split_seed=3, **other_options))
    assert not torch.equal(first, rows(data(40)[0], split_seed=4))


def test_the_rows_of_a_batch_are_those_of_its_split():
    images, labels = data(40)
    train, valid = split_indices(40, 0.5, split_seed=0)
    task = make_task(mean=[0.0] * 3, std=[1.0] * 3)
    for split, source, source_labels in (
        ("train_valid", images, labels),
        ("train", images[train], labels[train]),
        ("valid", images[valid], labels[valid]),
        ("test", *data(10, seed=1)),
    ):
        indices = torch.tensor([3, 0, 3, 7])
        inputs, targets = task.batch(split, indices)
        assert torch.equal((inputs * 255).round().to(torch.uint8), source[indices])
        assert torch.equal(targets, source_labels[indices])
        assert task.size(split) == len(source)


def test_a_batch_without_generator_is_normalised_as_by_torchvision():
    mean, std = [0.1, 0.5, 0.7], [0.2, 0.3, 0.4]
    task = make_task(mean=mean, std=std)
    inputs, targets = everything(task, "test")
    expected = transforms.Normalize(mean, std)(data(10, seed=1)[0].float() / 255)
    torch.testing.assert_close(inputs, expected, rtol=0, atol=2e-6)
    assert (inputs.dtype, targets.dtype) == (torch.float32, torch.int64)


def test_by_default_the_development_images_are_brought_to_mean_0_and_deviation_1():
    inputs, _ = everything(make_task(), "train_valid")
    torch.testing.assert_close(inputs.mean(dim=(0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(inputs.std(dim=(0, 2, 3), correction=0), torch.ones(3), rtol=0, atol=1e-5)


def test_statistics_are_those_of_all_pixels_and_a_constant_channel_has_deviation_1():
    images, _ = data(5)
    images[:, 1] = 51
    mean, std = channel_statistics(images)
    assert mean == pytest.approx((images.double() / 255).mean(dim=(0, 2, 3)).tolist())
    assert std[0] == pytest.approx(float((images[:, 0].double() / 255).std(correction=0)))
    assert (mean[1], std[1]) == (pytest.approx(0.2), 1.0)


def test_the_border_of_a_crop_is_black_and_a_cutout_has_the_mean_colour():
    white = torch.full((40, 3, 8, 8), 255, dtype=torch.uint8)
    task = make_task(images=white, augmentation=Augmentation(pad=2, cutout=4), mean=[0.25] * 3, std=[0.5] * 3)
    inputs, _ = task.batch("train", torch.arange(20), torch.Generator().manual_seed(0))
    colours = {round(value, 5) for value in inputs.unique().tolist()}
    assert colours == {-0.5, 0.0, 1.5}


def test_a_generator_alone_decides_how_a_batch_is_augmented():
    task, indices = make_task(augmentation=Augmentation(2, True, 4)), torch.arange(20)
    first = task.batch("train", indices, torch.Generator().manual_seed(1))[0]
    torch.manual_seed(99)
    again = task.batch("train", indices, torch.Generator().manual_seed(1))[0]
    other = task.batch("train", indices, torch.Generator().manual_seed(2))[0]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_data_are_not_changed_by_taking_batches():
    images, labels = data(40)
    task = make_task(images=images, labels=labels, augmentation=Augmentation(2, True, 4))
    task.batch("train_valid", torch.arange(40), torch.Generator().manual_seed(0))
    assert torch.equal(images, data(40)[0])
    assert torch.equal(labels, data(40)[1])


def test_batches_are_on_the_device_of_the_task_and_the_original_stays_where_it_was():
    task = make_task(augmentation=Augmentation(2, True, 4))
    moved = task.to(torch.device("meta"))
    inputs, targets = moved.batch("valid", torch.arange(6), torch.Generator().manual_seed(0))
    assert {tensor.device.type for tensor in (inputs, targets, moved.mean, moved.std)} == {"meta"}
    assert inputs.shape == (6, 3, 8, 8)
    assert everything(task, "train")[0].device.type == "cpu"


def test_on_the_cpu_the_images_are_not_copied_so_that_a_memory_map_stays_one():
    images, _ = data(40)
    task = make_task(images=images, mean=[0.0] * 3, std=[1.0] * 3).to(torch.device("cpu"))
    images[:] = 255
    assert (everything(task, "train_valid")[0] == 1).all()


@pytest.mark.gpu
def test_a_batch_does_not_depend_on_the_device():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    task = make_task(augmentation=Augmentation(2, True, 4))
    on_gpu = task.to(torch.device("cuda"))
    inputs = [t.batch("train", torch.arange(20), torch.Generator().manual_seed(0))[0].cpu() for t in (task, on_gpu)]
    torch.testing.assert_close(*inputs)


def test_loss_is_the_cross_entropy_with_smoothed_labels():
    outputs = torch.tensor([[2.0, 0.0, 1.0, -1.0], [0.5, 0.5, 0.0, 3.0]], requires_grad=True)
    targets = torch.tensor([0, 1])
    task = make_task()
    log_probabilities = functional.log_softmax(outputs, dim=1)
    hard = -log_probabilities[[0, 1], targets].mean()
    torch.testing.assert_close(task.loss(outputs, targets), hard)
    torch.testing.assert_close(task.loss(outputs, targets, 0.1), 0.9 * hard - 0.1 * log_probabilities.mean())
    assert task.loss(outputs, targets).requires_grad


def test_score_is_the_share_of_correct_answers():
    outputs = torch.tensor([[2.0, 0, 0, 0], [0, 0, 1, 0], [0, 3, 0, 0], [0, 0, 0, 1]], requires_grad=True)
    score = make_task().score(outputs, torch.tensor([0, 2, 0, 3]))
    assert (score.item(), score.shape, score.requires_grad) == (0.75, (), False)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 2, float("nan")])
def test_a_fraction_outside_0_to_1_is_refused(fraction):
    with pytest.raises(ValueError, match=r"train_fraction=.* must lie between 0 and 1"):
        make_task(train_fraction=fraction)


@pytest.mark.parametrize(("fraction", "empty"), [(0.01, "train"), (0.99, "valid")])
def test_a_split_that_would_be_empty_is_named(fraction, empty):
    with pytest.raises(ValueError, match=f"of 40 development images leaves the split '{empty}' empty"):
        make_task(train_fraction=fraction)


@pytest.mark.parametrize("wrong", [4, -1])
def test_a_label_out_of_range_is_refused_with_its_row(wrong):
    labels = data(40)[1]
    labels[[17, 30]] = wrong
    with pytest.raises(ValueError, match=rf"development labels must lie in 0..3 for 4 classes; row 17 has {wrong}"):
        make_task(labels=labels)
    with pytest.raises(ValueError, match=r"test labels .* row 9 has 4"):
        make_task(test_labels=torch.tensor([0] * 9 + [4]))


def test_an_unknown_split_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match="unknown split 'validation'; did you mean 'valid'"):
        make_task().batch("validation", torch.arange(2))
    with pytest.raises(ValueError, match="unknown split"):
        make_task().size("all")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"images": torch.zeros(40, 3, 8, 8)}, TypeError, "images must be uint8"),
        ({"images": torch.zeros(40, 8, 8, dtype=torch.uint8)}, ValueError, r"shape \(N, C, H, W\)"),
        (
            {"labels": torch.zeros(39, dtype=torch.int64)},
            ValueError,
            r"labels must have the shape \(40,\), got \(39,\)",
        ),
        ({"labels": torch.zeros(40)}, TypeError, "labels must be integers"),
        ({"test_images": torch.zeros(10, 1, 8, 8, dtype=torch.uint8)}, ValueError, "must agree in channels"),
        ({"mean": [0.5], "std": [0.2] * 3}, ValueError, "mean needs one number for each of 3 channels"),
        ({"mean": [125.0] * 3, "std": [60.0] * 3}, ValueError, "divide values of 0 to 255 by 255"),
        ({"std": [0.0] * 3}, ValueError, "std above 0"),
    ],
)
def test_data_that_do_not_fit_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        make_task(**options)
