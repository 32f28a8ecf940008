"""A child straight from a search: refused by an export until its batch norms have running statistics."""

import pytest
import torch
from torch import nn

from ray_asng import Supernet, tasks
from ray_asng.export import export, recalibrate
from ray_asng.randomness import drawing_from
from ray_asng.supernets.nasbench201 import NASBench201

CELL = {
    "edge_0_1": "nor_conv_3x3",
    "edge_0_2": "none",
    "edge_1_2": "avg_pool_3x3",
    "edge_0_3": "skip_connect",
    "edge_1_3": "nor_conv_1x1",
    "edge_2_3": "avg_pool_3x3",
}


def images(count=7):
    return tasks.digits().batch("test", torch.arange(count))[0]


def searched_child():
    with drawing_from(torch.Generator().manual_seed(0)):
        supernet = Supernet(NASBench201(width=4, cells=1, in_channels=1))
    return supernet.extract(CELL)


def test_a_child_straight_from_the_search_is_refused_with_the_remedies(tmp_path):
    with pytest.raises(ValueError, match=r"no running statistics .*'stem.1'.*ray-asng retrain.*recalibrate"):
        export(searched_child(), images(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_recalibrated_norms_have_the_statistics_of_the_training_data():
    """With one batch of all data, evaluation is what the batch statistics gave, but for the variance's n / (n - 1)."""
    child, task = searched_child(), tasks.digits()
    everything, _ = task.batch("train_valid", torch.arange(task.size("train_valid")))
    calibrated = recalibrate(child, task, batches=1, batch_size=task.size("train_valid"))
    with torch.no_grad():
        assert torch.allclose(calibrated(everything), child.train()(everything), atol=5e-3)
        assert torch.allclose(calibrated(everything[:1]), calibrated(everything)[:1], atol=1e-5)
    assert child.stem[1].running_mean is None
    assert not calibrated.training


def test_the_statistics_are_means_over_all_batches():
    shifted = nn.Conv2d(1, 1, 1)
    nn.init.constant_(shifted.weight, 3.0)
    nn.init.constant_(shifted.bias, 2.0)
    norm = nn.BatchNorm2d(1, affine=False, track_running_stats=False)
    task = tasks.digits()
    calibrated = recalibrate(nn.Sequential(shifted, norm), task, batches=11, batch_size=128)[1]
    assert int(calibrated.num_batches_tracked) == 11
    everything, _ = task.batch("train_valid", torch.arange(task.size("train_valid")))
    # 11 batches are all images but 29.
    assert float(calibrated.running_mean) == pytest.approx(3 * float(everything.mean()) + 2, abs=0.03)
    assert float(calibrated.running_var) == pytest.approx(9 * float(everything.var()), rel=0.02)
    assert calibrated.momentum == norm.momentum


def test_a_recalibrated_child_can_be_exported(tmp_path):
    (written,) = export(recalibrate(searched_child(), tasks.digits()), images(), tmp_path, ["torch_export"]).written
    assert written.difference <= 1e-5


def test_what_needs_no_recalibration_is_not_recalibrated():
    with pytest.raises(ValueError, match="no batch norm without running statistics"):
        recalibrate(nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)), tasks.digits())
