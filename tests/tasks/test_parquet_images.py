import hashlib
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ray_asng import tasks
from ray_asng.tasks.parquet_source import open_source


def pixels(count, height=8, width=8, seed=0):
    """(count, height, width, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def encode(image, kind="PNG", mode="RGB", **options):
    stream = io.BytesIO()
    Image.fromarray(image).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def write(path, images, labels=None, metadata=None, names=("image", "label"), label_type=None, **parquet_options):
    """A Parquet file of encoded images; labels count 0, 1, 2, 0, ... unless given."""
    labels = [row % 3 for row in range(len(images))] if labels is None else labels
    table = pa.table([pa.array(images, pa.binary()), pa.array(labels, label_type or pa.int64())], list(names))
    pq.write_table(table.replace_schema_metadata(metadata), path, **parquet_options)
    return path


@pytest.fixture
def train(tmp_path):
    return write(tmp_path / "train.parquet", [encode(image) for image in pixels(30)])


@pytest.fixture
def test(tmp_path):
    return write(tmp_path / "test.parquet", [encode(image) for image in pixels(9, seed=1)])


def everything(task, split):
    return task.batch(split, torch.arange(task.size(split)))


def raw(task, split):
    """(N, H, W, 3) uint8."""
    inputs, _ = everything(task, split)
    scaled = inputs * task.std.view(1, 3, 1, 1) + task.mean.view(1, 3, 1, 1)
    return (scaled * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def labels_of(task, split):
    return everything(task, split)[1].tolist()


@pytest.mark.parametrize("encoding", [{"kind": "PNG"}, {"kind": "WEBP", "lossless": True}])
def test_images_come_out_as_they_went_in_in_the_order_of_the_file(tmp_path, encoding):
    images = pixels(600)
    encoded = [encode(image, **encoding) for image in images]
    path = write(tmp_path / "train.parquet", encoded, row_group_size=70)
    task = tasks.images(train=path, test=path, test_images=5)
    assert np.array_equal(raw(task, "train_valid"), images)
    assert labels_of(task, "train_valid") == [row % 3 for row in range(600)]
    assert np.array_equal(raw(task, "test"), images[:5])


def test_jpeg_and_grey_and_transparent_images_are_decoded_to_rgb(tmp_path):
    image = np.full((8, 8, 3), [200, 100, 50], np.uint8)
    encoded = [encode(image, "JPEG"), encode(image, mode="L"), encode(image, mode="RGBA"), encode(image, mode="P")]
    task = tasks.images(train=write(tmp_path / "a.parquet", encoded, [0, 1, 2, 0]), test=tmp_path / "a.parquet")
    jpeg, grey, transparent, palette = raw(task, "test").astype(int)
    assert np.abs(jpeg - image).max() <= 3
    assert (grey == grey[..., :1]).all()
    assert np.array_equal(transparent, image)
    assert np.abs(palette - image).max() <= 60


def test_images_are_normalised_by_the_development_images_alone(train, test):
    task = tasks.images(train=train, test=test, train_images=20)
    used = pixels(30)[:20] / 255
    assert task.mean.tolist() == pytest.approx(used.mean(axis=(0, 1, 2)).tolist())
    assert task.std.tolist() == pytest.approx(used.std(axis=(0, 1, 2)).tolist())


def test_the_first_rows_are_taken_from_the_files(train, test):
    task = tasks.images(train=train, test=test, train_images=12, test_images=4)
    assert np.array_equal(raw(task, "train_valid"), pixels(30)[:12])
    assert np.array_equal(raw(task, "test"), pixels(9, seed=1)[:4])


def test_images_of_several_sizes_are_brought_to_one_by_pillows_bilinear_filter(tmp_path):
    images = [pixels(1, *shape)[0] for shape in [(16, 16), (8, 8), (10, 20), (5, 3)]]
    path = write(tmp_path / "mixed.parquet", [encode(image) for image in images])
    task = tasks.images(train=path, test=path, size=8)
    expected = [np.asarray(Image.fromarray(image).resize((8, 8), Image.Resampling.BILINEAR)) for image in images]
    assert np.array_equal(raw(task, "test"), np.stack(expected))
    assert np.array_equal(raw(task, "test")[1], images[1])


@pytest.mark.parametrize(("size", "pad"), [(32, 4), (16, 2), (8, 1)])
def test_the_crop_pads_an_eighth_of_the_side_unless_told_otherwise(train, test, size, pad):
    assert tasks.images(train=train, test=test, size=size).augmentation.pad == pad
    assert tasks.images(train=train, test=test, size=size, pad=3).augmentation.pad == 3


def test_without_a_test_file_a_part_is_set_apart_that_is_the_same_for_every_split_seed(train):
    one = tasks.images(train=train, test_fraction=0.5, split_seed=0)
    other = tasks.images(train=train, test_fraction=0.5, split_seed=1)
    assert (one.size("test"), one.size("train_valid")) == (15, 15)
    assert np.array_equal(raw(one, "test"), raw(other, "test"))
    assert not np.array_equal(raw(one, "train"), raw(other, "train"))
    together = np.concatenate([raw(one, "test"), raw(one, "train_valid")]).reshape(30, -1)
    assert sorted(together.tolist()) == sorted(pixels(30).reshape(30, -1).tolist())


def test_images_set_apart_keep_their_labels(train):
    task = tasks.images(train=train, test_fraction=0.3)
    label_of = {image.tobytes(): row % 3 for row, image in enumerate(pixels(30))}
    for split in ("train_valid", "test"):
        assert labels_of(task, split) == [label_of[image.tobytes()] for image in raw(task, split)]


def test_columns_can_have_other_names_and_images_can_lie_in_a_struct(tmp_path):
    images = pixels(6)
    column = pa.array([{"bytes": encode(image), "path": None} for image in images])
    path = tmp_path / "struct.parquet"
    pq.write_table(pa.table({"img": column, "fine_label": pa.array([0, 1, 2] * 2, pa.uint8())}), path)
    task = tasks.images(train=path, test=path, image_column="img", label_column="fine_label")
    assert np.array_equal(raw(task, "test"), images)


def test_the_number_of_classes_is_told_or_named_in_the_file_or_the_largest_label_plus_1(tmp_path, train, test):
    encoded = [encode(image) for image in pixels(30)]
    named = write(tmp_path / "named.parquet", encoded, metadata={"classes": json.dumps(["a", "b", "c", "d", "e"])})
    assert tasks.images(train=train, test=test).network_options["classes"] == 3
    assert tasks.images(train=named, test=test).network_options["classes"] == 5
    assert tasks.images(train=named, test=test, classes=7).network_options["classes"] == 7
    assert tasks.images(train=train, test=test, train_images=2).network_options["classes"] == 3


def test_files_are_decoded_once_and_again_when_they_change(tmp_path, train, test, cache_folder):
    tasks.images(train=train, test=test)
    written = {path: path.stat().st_mtime_ns for path in cache_folder.glob("*.npy")}
    tasks.images(train=train, test=test, split_seed=1, cutout=2, train_fraction=0.3)
    assert {path: path.stat().st_mtime_ns for path in cache_folder.glob("*.npy")} == written
    write(train, [encode(image) for image in pixels(30, seed=5)])
    assert np.array_equal(raw(tasks.images(train=train, test=test), "train_valid"), pixels(30, seed=5))


def test_each_size_is_decoded_for_itself(train, test):
    assert tasks.images(train=train, test=test, size=16).image_shape == (3, 16, 16)
    assert tasks.images(train=train, test=test, size=4).image_shape == (3, 4, 4)
    assert tasks.images(train=train, test=test).image_shape == (3, 8, 8)


def test_decoded_images_are_a_memory_map(train):
    assert isinstance(open_source(train, "image", "label").images(np.arange(5)), np.memmap)


def test_relative_paths_are_within_data_dir_or_the_folder_of_the_environment(tmp_path, train, test, monkeypatch):
    monkeypatch.setenv("RAY_ASNG_DATA", str(tmp_path / "elsewhere"))
    assert tasks.images(train="train.parquet", test="test.parquet", data_dir=tmp_path).size("test") == 9
    monkeypatch.setenv("RAY_ASNG_DATA", str(tmp_path))
    assert tasks.images(train="train.parquet", test="test.parquet").size("test") == 9


def test_a_missing_file_is_an_error_that_says_what_to_pass(tmp_path, train):
    with pytest.raises(FileNotFoundError, match=r"test='absent.parquet'.*RAY_ASNG_DATA.*`ray-asng prepare images`"):
        tasks.images(train=train, test="absent.parquet", data_dir=tmp_path)


def test_a_file_that_is_not_parquet_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("image,label\n" * 20)
    with pytest.raises(ValueError, match="is not a Parquet file, or is damaged"):
        tasks.images(train=path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("picture", "label"), r"has no column 'image', but \['picture', 'label'\]; pass image_column="),
        (("image", "class"), r"has no column 'label', but \['image', 'class'\]; pass label_column="),
    ],
)
def test_a_file_without_the_columns_is_refused_with_those_it_has(tmp_path, names, message):
    path = write(tmp_path / "other.parquet", [encode(pixels(1)[0])], names=names)
    with pytest.raises(ValueError, match=message):
        tasks.images(train=path)


def test_columns_of_other_types_are_refused(tmp_path):
    path = tmp_path / "types.parquet"
    pq.write_table(pa.table({"image": ["a.png", "b.png"], "label": ["cat", "dog"], "number": [0, 1]}), path)
    with pytest.raises(ValueError, match=r"column 'image' .* must hold encoded images \(binary\), not string"):
        tasks.images(train=path, label_column="number")
    pq.write_table(pa.table({"image": [encode(pixels(1)[0])], "label": ["cat"]}), path)
    with pytest.raises(ValueError, match=r"column 'label' .* must hold integer labels, not string"):
        tasks.images(train=path)


@pytest.mark.parametrize("broken", [b"no image", b"", None, encode(pixels(1, 64, 64)[0])[:2000]])
def test_a_broken_image_is_named_by_file_and_row(tmp_path, test, broken, cache_folder):
    encoded = [encode(image) for image in pixels(300, 64, 64)]
    encoded[270] = broken
    path = write(tmp_path / "broken.parquet", encoded)
    with pytest.raises(ValueError, match=rf"row 270 of {path}"):
        tasks.images(train=path, test=test)
    assert not list(cache_folder.glob("broken-*.npy"))
    assert tasks.images(train=path, train_images=270).size("train_valid") == 216


def test_images_of_unequal_size_need_a_size(tmp_path):
    encoded = [encode(pixels(1, *shape)[0]) for shape in [(8, 8), (8, 8), (8, 9)]]
    path = write(tmp_path / "unequal.parquet", encoded)
    with pytest.raises(ValueError, match=r"row 2 of .* 8 x 9 pixels, row 0 one of 8 x 8; pass size="):
        tasks.images(train=path, test=path)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([0, 1, -1, 2], {}, "row 2 of .* has the label -1 .* with 3 classes labels are 0 to 2"),
        ([0, 1, 2, 10], {"metadata": {"classes": json.dumps(list("abcdefghij"))}}, "row 3 of .* has the label 10 "),
        ([0, None, 2, 1], {}, "row 1 of .* has no label in column 'label'"),
        ([0, 1, 2, 0], {"metadata": {"classes": "ten"}}, "is no JSON list of names; pass classes="),
        ([0, 1, 2, 0], {"metadata": {"classes": "10"}}, "is no JSON list of names; pass classes="),
    ],
)
def test_labels_that_cannot_be_used_are_refused_with_their_row(tmp_path, labels, options, message):
    path = write(tmp_path / "labels.parquet", [encode(image) for image in pixels(4)], labels, **options)
    with pytest.raises(ValueError, match=message):
        tasks.images(train=path)


def test_a_test_label_that_the_development_images_lack_is_refused(tmp_path, train):
    path = write(tmp_path / "unseen.parquet", [encode(image) for image in pixels(2)], [0, 3])
    with pytest.raises(ValueError, match=r"row 1 of .*unseen.parquet has the label 3 .* \(pass classes= if there are"):
        tasks.images(train=train, test=path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_images": 31}, "train_images=31, but .*train.parquet has 30 images; take from 1 to 30"),
        ({"train_images": 0}, "train_images=0, but .*train.parquet has 30 images"),
        ({"test_images": 5}, "test_images counts rows of a test file; pass test="),
        ({"test_fraction": 0.0}, r"test_fraction=0.0 of 30 images sets 0 apart"),
        ({"test_fraction": 1.0}, r"test_fraction=1.0 of 30 images sets 30 apart"),
        ({"size": 0}, "size is the side of the images in pixels"),
        ({"classes": 2}, "row 2 of .* has the label 2"),
        ({"train_fraction": 1.5}, "train_fraction=1.5 must lie between 0 and 1"),
        ({"pad": -1}, "pad is a number of pixels"),
    ],
)
def test_options_out_of_range_are_refused(train, options, message):
    with pytest.raises(ValueError, match=message):
        tasks.images(train=train, **options)


def test_a_file_without_rows_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no rows"):
        tasks.images(train=write(tmp_path / "empty.parquet", []))


def test_real_images_are_decoded_bit_for_bit_as_their_maker_recorded(real_cifar10):
    path = real_cifar10 / "cifar10_webp_test.parquet"
    source = open_source(path, "image", "label")
    decoded = np.ascontiguousarray(source.images(np.arange(source.rows)).transpose(0, 2, 3, 1))
    recorded = pq.read_schema(path).metadata[b"sha256_raw_hwc_uint8_in_row_order"].decode()
    assert hashlib.sha256(decoded.tobytes()).hexdigest() == recorded
    assert (source.rows, source.classes) == (10_000, 10)


def test_real_cifar10_trains_at_reduced_size_from_the_folder_of_the_environment(real_cifar10):
    task = tasks.images(
        train="cifar10_webp_train.parquet",
        test="cifar10_webp_test.parquet",
        size=16,
        train_images=1000,
        test_images=500,
        cutout=8,
    )
    assert (task.size("train"), task.size("valid"), task.size("test")) == (500, 500, 500)
    assert task.mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.02)
    assert min(np.bincount(labels_of(task, "train_valid"), minlength=10)) > 60
