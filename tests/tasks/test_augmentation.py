import numpy as np
import pytest
import torch
from torchvision.transforms import functional as torchvision_functional

from ray_asng.tasks.augmentation import (
    Augmentation,
    crop_at,
    cut_at,
    flip_where,
    random_crop,
    random_cutout,
    random_flip,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(count=7, channels=3, height=6, width=9):
    return torch.randint(1, 256, (count, channels, height, width), generator=seeded(), dtype=torch.uint8)


def numbered(count, height, width):
    """Images whose pixels hold their own position, counted from 1."""
    return torch.arange(1, height * width + 1).view(1, 1, height, width).repeat(count, 1, 1, 1)


def darts_cutout(image, side, row, column):
    """The mask of the published DARTS code, given the centre."""
    height, width = image.shape[1:]
    mask = np.ones((height, width), np.float32)
    top, bottom = np.clip(row - side // 2, 0, height), np.clip(row + side // 2, 0, height)
    left, right = np.clip(column - side // 2, 0, width), np.clip(column + side // 2, 0, width)
    mask[top:bottom, left:right] = 0.0
    return image * torch.from_numpy(mask).expand_as(image)


def places(rows, columns):
    """All pairs of a row and a column, as two vectors."""
    grid = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
    return grid[:, 0], grid[:, 1]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_crop_is_that_of_torchvision_on_the_padded_image(dtype):
    pad = 2
    tops, lefts = places(2 * pad + 1, 2 * pad + 1)
    images = pictures(len(tops)).to(dtype)
    expected = [
        torchvision_functional.crop(torchvision_functional.pad(image, [pad] * 4), top, left, 6, 9)
        for image, top, left in zip(images, tops.tolist(), lefts.tolist(), strict=True)
    ]
    cropped = crop_at(images, pad, tops, lefts)
    assert torch.equal(cropped, torch.stack(expected))
    assert cropped.dtype == dtype


def test_a_flip_is_that_of_torchvision_and_leaves_the_other_images_as_they_are():
    images = pictures()
    flipped = torch.tensor([True, False, True, True, False, False, True])
    expected = [
        torchvision_functional.hflip(image) if mirror else image
        for image, mirror in zip(images, flipped.tolist(), strict=True)
    ]
    assert torch.equal(flip_where(images, flipped), torch.stack(expected))


@pytest.mark.parametrize("side", [2, 4, 16])
def test_a_cutout_is_that_of_darts_at_every_centre(side):
    rows, columns = places(6, 9)
    images = pictures(len(rows)).float()
    expected = [
        darts_cutout(image, side, row, column)
        for image, row, column in zip(images, rows.tolist(), columns.tolist(), strict=True)
    ]
    assert torch.equal(cut_at(images, side, rows, columns), torch.stack(expected))


def test_an_odd_cutout_lies_evenly_around_its_centre():
    cut = cut_at(torch.ones(1, 2, 7, 7), 3, torch.tensor([3]), torch.tensor([4]))
    assert (cut[0, :, 2:5, 3:6] == 0).all()
    assert cut.sum() == 2 * (49 - 9)


def test_crops_are_uniform_over_all_places():
    """Chi-square, 24 degrees of freedom: a correct draw exceeds 51.2 once in 1000 seeds."""
    pad, height, width, count = 2, 6, 9, 10_000
    centre = random_crop(numbered(count, height, width), pad, seeded())[:, 0, 3, 4] - 1
    tops, lefts = centre // width - 3 + pad, centre % width - 4 + pad
    counts = torch.bincount(tops * (2 * pad + 1) + lefts, minlength=25).double()
    assert len(counts) == 25
    assert ((counts - count / 25) ** 2 / (count / 25)).sum() < 51.2


def test_half_of_the_images_are_flipped():
    """Binomial of 10 000 with deviation 50: a correct draw is off by more than 165 once in 1000 seeds."""
    images = numbered(10_000, 2, 3)
    flipped = (random_flip(images, seeded()) != images).any(dim=3).any(dim=2).sum()
    assert abs(int(flipped) - 5000) < 165


def test_cutouts_are_centred_at_uniform_pixels_up_to_the_borders():
    """Chi-square, 19 degrees of freedom: a correct draw exceeds 43.8 once in 1000 seeds."""
    count = 10_000
    counts = (random_cutout(torch.ones(count, 1, 4, 5), 1, seeded()) == 0).sum(dim=0).flatten().double()
    assert counts.sum() == count
    assert ((counts - count / 20) ** 2 / (count / 20)).sum() < 43.8


def test_rows_and_columns_are_drawn_independently():
    """Correlation of 10 000 pairs: a correct draw exceeds 0.033 once in 1000 seeds."""
    centre = random_crop(numbered(10_000, 6, 9), 2, seeded())[:, 0, 3, 4] - 1
    assert abs(np.corrcoef(centre // 9, centre % 9)[0, 1]) < 0.033


@pytest.mark.parametrize("augment", [random_crop, random_cutout])
def test_equal_generators_give_equal_images_and_others_do_not(augment):
    images = pictures(50).float()
    assert torch.equal(augment(images, 3, seeded(5)), augment(images, 3, seeded(5)))
    assert not torch.equal(augment(images, 3, seeded(5)), augment(images, 3, seeded(6)))


def test_augmentation_does_not_change_its_argument():
    images = pictures().float()
    before = images.clone()
    augmentation = Augmentation(pad=2, flip=True, cutout=4)
    augmentation.after_normalising(augmentation.before_normalising(images, seeded()), seeded())
    random_cutout(images, 4, seeded())
    assert torch.equal(images, before)


def test_no_augmentation_draws_nothing_and_changes_nothing():
    images, generator = pictures(), seeded()
    state = generator.get_state()
    nothing = Augmentation()
    assert nothing.before_normalising(images, generator) is images
    assert nothing.after_normalising(images, generator) is images
    assert torch.equal(generator.get_state(), state)


@pytest.mark.parametrize("wrong", [{"pad": -1}, {"cutout": -2}, {"pad": 1.5}, {"cutout": True}])
def test_an_impossible_number_of_pixels_is_refused(wrong):
    with pytest.raises(ValueError, match=r"is a number of pixels, 0 or more .* got"):
        Augmentation(**wrong)
