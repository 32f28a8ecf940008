import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn

from ray_asng import tasks
from ray_asng.tasks.inpainting_task import InpaintingTask, psnr, ssim
from ray_asng.tasks.masks import Masks, make_masks


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ASNG_CACHE", str(tmp_path / "cache"))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(count, side=12, channels=3, seed=0):
    return torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8, generator=generator(seed))


def task(mask="centre", **options):
    return InpaintingTask(
        name="mine", images=pictures(40), test_images=pictures(10, seed=1), masks=make_masks(mask, None), **options
    )


def folder_of(path, sizes, mode="RGB"):
    path.mkdir()
    for number, size in enumerate(sizes):
        pixels = np.full((size, size, 3), 20 * number, dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(path / f"{number}.png")
    return path


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_the_centre_mask_of_a_small_image_hides_a_pixel_and_shows_one(fraction):
    shown = make_masks("centre", fraction).draw(1, 4, 4, generator())
    assert 0 < shown.sum() < shown.numel()


def test_the_centre_mask_hides_the_middle_half_of_each_side():
    shown = make_masks("centre", None).draw(2, 8, 12, generator())
    expected = torch.ones(8, 12)
    expected[2:6, 3:9] = 0.0
    assert torch.equal(shown, expected.expand(2, 1, 8, 12))


def test_random_pixels_are_hidden_independently_with_the_probability():
    shown = make_masks("random_pixel", None).draw(50, 20, 20, generator())
    assert set(shown.unique().tolist()) == {0.0, 1.0}
    assert float((shown == 0.0).float().mean()) == pytest.approx(0.8, abs=0.01)
    assert not torch.equal(shown[0], shown[1])


def test_random_halves_are_the_four_halves_about_equally_often():
    shown = make_masks("random_half", None).draw(400, 4, 6, generator())
    kinds, counts = shown.flatten(1).unique(dim=0, return_counts=True)
    halves = {tuple(kind.reshape(4, 6).mean(dim).tolist()) for kind in kinds for dim in (0, 1)}
    assert len(kinds) == 4
    assert {
        (0.0,) * 2 + (1.0,) * 2,
        (1.0,) * 2 + (0.0,) * 2,
        (0.0,) * 3 + (1.0,) * 3,
        (1.0,) * 3 + (0.0,) * 3,
    } <= halves
    assert counts.min() > 70


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("center", None), "unknown mask 'center'; did you mean 'centre'"),
        (("centre", 0.0), "mask_fraction is the hidden share, above 0 and below 1; got 0.0"),
        (("random_pixel", 1.0), "above 0 and below 1; got 1.0"),
        (("random_half", 0.3), "'random_half' hides one half; leave mask_fraction=0.3 out"),
    ],
)
def test_masks_that_hide_nothing_or_all_or_have_no_fraction_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        make_masks(*arguments)


@pytest.mark.parametrize("mask", ["centre", "random_pixel", "random_half"])
def test_inputs_are_the_true_images_with_zeros_of_the_same_mask_in_all_channels(mask):
    inputs, targets = task(mask).batch("valid", torch.arange(8), generator())
    shown = (inputs == targets).all(dim=1, keepdim=True)
    assert torch.equal(inputs, targets * shown)
    assert 0.1 < float(shown.float().mean()) < 0.9
    assert float(targets.min()) >= 0.0
    assert float(targets.max()) <= 1.0


@pytest.mark.parametrize("mask", ["random_pixel", "random_half"])
def test_without_a_generator_each_image_has_its_own_mask_for_good(mask):
    mine = task(mask)
    one, _ = mine.batch("test", torch.tensor([3, 5]))
    other, _ = mine.batch("test", torch.tensor([5, 3]))
    assert torch.equal(one, other.flip(0))
    masks = (mine.batch("test", torch.arange(10))[0] == 0.0).all(dim=1).flatten(1)
    assert len(masks.unique(dim=0)) >= 3


def test_with_a_generator_masks_and_mirroring_are_drawn_from_it():
    mine = task("random_pixel")
    one, other, again = (mine.batch("train", torch.arange(8), generator(seed)) for seed in (0, 1, 0))
    assert torch.equal(one[0], again[0])
    assert not torch.equal(one[0], other[0])
    plain = mine.batch("train", torch.arange(8))[1]
    is_mirrored = [bool(torch.equal(drawn, true.flip(2))) for drawn, true in zip(one[1], plain, strict=True)]
    is_same = [bool(torch.equal(drawn, true)) for drawn, true in zip(one[1], plain, strict=True)]
    assert any(is_mirrored)
    assert any(is_same)
    assert [a != b for a, b in zip(is_mirrored, is_same, strict=True)] == [True] * 8


def test_the_ratio_is_that_of_each_image_by_its_definition_with_clipped_outputs():
    outputs, targets = torch.rand(3, 3, 16, 16, generator=generator()) * 2.0 - 0.5, torch.rand(3, 3, 16, 16)
    errors = ((outputs.clamp(0, 1) - targets) ** 2).mean(dim=(1, 2, 3))
    assert float(psnr(outputs, targets)) == pytest.approx(float((-10.0 * errors.log10()).mean()), rel=1e-5)
    assert float(psnr(targets, targets)) == 100.0


def test_the_similarity_is_that_of_gaussian_windows_within_the_image_with_population_covariances():
    outputs, targets = (torch.rand(2, 1, 20, 20, generator=generator(seed), dtype=torch.float64) for seed in (0, 1))
    line = torch.exp(-0.5 * (torch.arange(-5, 6, dtype=torch.float64) / 1.5) ** 2)
    window = (line[:, None] * line / (line.sum() ** 2))[None, None]

    def mean(image):
        return nn.functional.conv2d(image, window)

    a, b = mean(outputs), mean(targets)
    variance_a, variance_b = mean(outputs**2) - a**2, mean(targets**2) - b**2
    covariance = mean(outputs * targets) - a * b
    similarity = (2 * a * b + 0.01**2) * (2 * covariance + 0.03**2)
    similarity = similarity / ((a**2 + b**2 + 0.01**2) * (variance_a + variance_b + 0.03**2))
    found = ssim(outputs.float(), targets.float())
    assert float(found) == pytest.approx(float(similarity.mean()), abs=1e-5)
    assert float(ssim(targets, targets)) == pytest.approx(1.0)


def test_ratio_and_similarity_are_those_of_scikit_image():
    """Of its release 0.26.0, with gaussian_weights, sigma=1.5 and use_sample_covariance=False, of clipped outputs."""
    i, j = torch.arange(16.0)[:, None], torch.arange(13.0)[None]
    waves = [0.5 + 0.4 * torch.sin(0.7 * i + 0.3 * j), 0.5 + 0.4 * torch.cos(0.5 * i - 0.9 * j), (13 * i + j) / 207]
    targets = torch.stack(waves)[None]
    outputs = targets + 0.3 * torch.cos(1.3 * i * j + 0.2)
    assert float(ssim(outputs, targets)) == pytest.approx(0.6085005, abs=2e-5)
    assert float(psnr(outputs, targets)) == pytest.approx(13.829052, abs=2e-5)


def test_the_loss_is_the_mean_squared_difference_and_other_shapes_are_refused():
    outputs, targets = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    assert float(task().loss(outputs, targets)) == pytest.approx(float(((outputs - targets) ** 2).mean()))
    with pytest.raises(ValueError, match="images of the shape of its inputs"):
        task().loss(outputs[:, :1], targets)
    with pytest.raises(ValueError, match=r"label_smoothing=0\.1 spreads a target over classes"):
        task().loss(outputs, targets, 0.1)


def test_images_of_a_folder_are_divided_and_decoded_once(tmp_path):
    folder_of(tmp_path / "mine", [16] * 10)
    mine = tasks.inpainting(source=tmp_path / "mine", test_fraction=0.2, train_fraction=0.5, flip=False)
    assert [mine.size(split) for split in ("train", "valid", "test")] == [4, 4, 2]
    _, targets = mine.batch("train_valid", torch.arange(8))
    _, tests = mine.batch("test", torch.arange(2))
    shades = torch.cat([targets, tests])[:, 0, 0, 0] * 255
    assert sorted(shades.round().int().tolist()) == [20 * number for number in range(10)]
    assert mine.network_options == {"in_channels": 3, "size": 16}


def test_images_of_unequal_size_are_refused_with_both_names_and_resized_on_demand(tmp_path):
    folder_of(tmp_path / "mine", [16, 16, 20, 16])
    with pytest.raises(ValueError, match=r"2\.png has 20 x 20 pixels, .*0\.png has 16 x 16; pass size="):
        tasks.inpainting(source=tmp_path / "mine", test=tmp_path / "mine")
    mine = tasks.inpainting(source=tmp_path / "mine", test=tmp_path / "mine", size=12)
    assert mine.batch("test", torch.arange(4))[0].shape == (4, 3, 12, 12)


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no images below"):
        tasks.inpainting(source=tmp_path / "empty")


def test_grey_images_are_converted_with_a_note(tmp_path):
    folder_of(tmp_path / "grey", [16] * 5, mode="L")
    with pytest.warns(UserWarning, match="5 of 5 images of .*grey are grey; they were converted to colour"):
        mine = tasks.inpainting(source=tmp_path / "grey", test=tmp_path / "grey")
    assert mine.network_options == {"in_channels": 3, "size": 16}


def parquet_of(path, images, column="image"):
    encoded = []
    for image in images:
        stream = io.BytesIO()
        image.save(stream, "PNG")
        encoded.append(stream.getvalue())
    pq.write_table(pa.table({column: pa.array(encoded, pa.binary())}), path)
    return path


def test_images_of_a_parquet_file_need_no_labels_and_grey_ones_are_converted_with_a_note(tmp_path):
    shades = [Image.new("RGB", (12, 12), (20 * number, 0, 0)) for number in range(8)] + [Image.new("L", (12, 12), 250)]
    path = parquet_of(tmp_path / "mine.parquet", shades, column="picture")
    with pytest.warns(UserWarning, match="1 of 9 images of .*mine.parquet are grey; they were converted to colour"):
        mine = tasks.inpainting(source=path, test=path, image_column="picture")
    shown = (mine.batch("test", torch.arange(9))[1][:, :, 0, 0] * 255).round().int().tolist()
    assert shown == [[20 * number, 0, 0] for number in range(8)] + [[250, 250, 250]]


def test_images_of_unequal_size_of_a_parquet_file_are_refused_with_both_rows(tmp_path):
    path = parquet_of(tmp_path / "mine.parquet", [Image.new("RGB", (side, side)) for side in (12, 12, 14)])
    with pytest.raises(ValueError, match=r"row 2 .* row 0 .*size="):
        tasks.inpainting(source=path, test=path)


def test_faces_of_a_parquet_file_are_colour_images_of_64_pixels():
    folder = os.environ.get("RAY_ASNG_DATA")
    if not folder or not (Path(folder) / "faces64_utk_crop.parquet").is_file():
        pytest.skip("needs faces64_utk_crop.parquet in the folder that RAY_ASNG_DATA names")
    faces = tasks.inpainting(source="faces64_utk_crop.parquet", image_column="jpeg", mask="random_half")
    assert faces.network_options == {"in_channels": 3, "size": 64}
    masked, true = faces.batch("test", torch.arange(16))
    hidden = (masked == 0.0).all(dim=1).float().mean(dim=(1, 2))
    assert float(hidden.min()) >= 0.5
    assert 0.1 < float(true.mean()) < 0.9


def celeba_of(path, parts):
    """Files as CelebA's, with the image `number` all of the colour `number`, white at its top and bottom."""
    folder = path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{number:06d}.jpg" for number in range(1, len(parts) + 1)]
    for number, name in enumerate(names):
        pixels = np.full((218, 178, 3), 255, dtype=np.uint8)
        pixels[20:198] = 20 * number
        Image.fromarray(pixels).save(folder / "img_align_celeba" / name, quality=95)

    def write(name, numbers, header=()):
        lines = [*header, *(" ".join([image, *map(str, row)]) for image, row in zip(names, numbers, strict=True))]
        (folder / name).write_text("\n".join(lines) + "\n")

    count = [str(len(parts))]
    write("list_eval_partition.txt", [[part] for part in parts])
    write("identity_CelebA.txt", [[number] for number in range(len(parts))])
    write("list_bbox_celeba.txt", [[0, 0, 178, 218]] * len(parts), [*count, "image_id x_1 y_1 width height"])
    write("list_landmarks_align_celeba.txt", [[0] * 10] * len(parts), [*count, "lefteye_x lefteye_y"])
    write("list_attr_celeba.txt", [[-1]] * len(parts), [*count, "Smiling"])
    return folder


def test_celeba_is_divided_as_published_and_cropped_to_the_square_in_its_middle(tmp_path, monkeypatch):
    from torchvision.datasets import CelebA

    folder = celeba_of(tmp_path, [2, 0, 1, 0, 2, 0, 0, 0, 1, 0])
    # torchvision compares the lists with those of the real files, which cannot be carried about.
    made = [
        (there, hashlib.md5((folder / name).read_bytes()).hexdigest(), name)
        for there, _, name in CelebA.file_list
        if name.endswith(".txt")
    ]
    monkeypatch.setattr(CelebA, "file_list", made)
    faces = tasks.inpainting(source="celeba", data_dir=tmp_path)
    assert faces.network_options == {"in_channels": 3, "size": 64}

    def colours(*splits):
        images = torch.cat([faces.batch(part, torch.arange(faces.size(part)))[1] for part in splits])
        assert float((images - images[:, :, :1, :1]).abs().max()) < 0.02, "white of the top or the bottom is there"
        return sorted((255.0 / 20.0 * images.mean(dim=(1, 2, 3))).round().int().tolist())

    assert colours("train", "valid") == [1, 2, 3, 5, 6, 7, 8, 9]
    assert colours("test") == [0, 4]


def test_a_source_that_is_not_there_is_refused_with_what_could_be_given(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="'digits', 'cifar10', 'cifar100', 'celeba', or a Parquet file or folder"
    ):
        tasks.inpainting(source="nothing", data_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match="CelebA is not in"):
        tasks.inpainting(source="celeba", data_dir=tmp_path)


def test_test_images_are_not_taken_where_a_source_has_its_own():
    with pytest.raises(ValueError, match="digits has test images of its own"):
        tasks.inpainting(test="other")


def test_masks_of_a_device_and_a_copy_are_the_same():
    moved = task("random_pixel").to(torch.device("cpu"))
    assert torch.equal(moved.batch("test", torch.arange(4))[0], task("random_pixel").batch("test", torch.arange(4))[0])


def test_small_images_have_no_similarity_and_say_so_by_leaving_it_out():
    assert set(tasks.inpainting().test_measures) == set()
    assert set(tasks.inpainting(size=11).test_measures) == {"ssim"}
    assert float(ssim(pictures(2, 11) / 255.0, pictures(2, 11) / 255.0)) == pytest.approx(1.0)


def test_masks_are_values():
    assert Masks("centre", 0.5) == make_masks("centre", None)
