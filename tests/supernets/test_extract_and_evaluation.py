"""The child network equals the path and is a plain module of its own; evaluation leaves no trace."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from ray_asng import OneOf, Supernet
from ray_asng.supernets.evaluation import buffers_kept, scoring


def conv(kernel):
    """Convolution with the state that a user's module may have: running statistics, dropout."""
    return nn.Sequential(nn.Conv2d(4, 4, kernel, padding=kernel // 2), nn.BatchNorm2d(4), nn.Dropout(0.0), nn.ReLU())


def edge(name):
    inner = OneOf({"conv3": conv(3), "conv5": conv(5)}, name=f"{name}_inner")
    return OneOf({"skip": nn.Identity(), "conv1": conv(1), "inner": nn.Sequential(inner, nn.BatchNorm2d(4))}, name=name)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.first, self.second, self.third = edge("a"), edge("b"), edge("a")

    def forward(self, images):
        stem = self.stem(images)
        return self.third(self.second(self.first(stem)) + stem).mean((2, 3))


@pytest.fixture
def supernet():
    torch.manual_seed(0)
    supernet = Supernet(Network())
    with torch.no_grad():
        for buffer in supernet.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5)
    return supernet


IMAGES = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("training", [True, False])
def test_the_child_equals_the_path_in_either_mode(supernet, training):
    supernet.train(training)
    rng = np.random.default_rng(0)
    for _ in range(12):
        architecture = supernet.space.sample(rng)
        child = supernet.extract(architecture)
        assert child.training == training
        for _ in range(2):  # the second time with the buffers that the first left behind
            assert torch.equal(child(IMAGES), supernet(IMAGES, architecture))


def test_no_choice_is_left_in_the_child(supernet):
    rng = np.random.default_rng(1)
    for _ in range(12):
        child = supernet.extract(supernet.space.sample(rng))
        assert not any(isinstance(module, OneOf) for module in child.modules())


def test_a_choice_that_is_the_whole_module_can_be_extracted():
    supernet = Supernet(OneOf({"double": nn.Linear(2, 4), "keep": nn.Linear(2, 2)}, name="a"))
    child = supernet.extract({"a": "keep"})
    assert type(child) is nn.Linear
    assert child.out_features == 2


def test_an_option_that_is_itself_a_choice_can_be_extracted():
    inner = OneOf({"x": nn.Linear(2, 2), "y": nn.Tanh()}, name="inner")
    child = Supernet(nn.Sequential(OneOf({"skip": nn.Identity(), "more": inner}, name="outer"))).extract(
        {"outer": "more", "inner": "y"}
    )
    assert [type(module) for module in child] == [nn.Tanh]


def test_the_child_stands_where_the_choices_stood(supernet):
    architecture = {"a": "conv1", "b": "inner", "a_inner": "conv3", "b_inner": "conv5"}
    child = supernet.extract(architecture)
    reached = [path for path in supernet.choice_paths if path in dict(child.named_modules())]
    assert {"first", "second", "third"} <= set(reached)
    assert child.first[0].kernel_size == child.third[0].kernel_size == (1, 1)
    assert child.second[0][0].kernel_size == (5, 5)


def test_the_child_has_weights_of_its_own(supernet):
    architecture = supernet.space.architecture({"a": "conv1", "b": "skip", "a_inner": "conv3", "b_inner": "conv3"})
    before = supernet(IMAGES, architecture)
    child = supernet.extract(architecture)
    assert not {id(p) for p in child.parameters()} & {id(p) for p in supernet.parameters()}
    with torch.no_grad():
        for parameter in child.parameters():
            parameter.add_(1.0)
    assert torch.equal(supernet(IMAGES, architecture), before)


class Uncopyable(nn.Linear):
    def __deepcopy__(self, memo):
        raise RuntimeError("this weight need not be copied")


def test_weights_that_were_not_chosen_are_not_copied():
    inner = OneOf({"small": nn.Linear(2, 2), "huge": Uncopyable(2, 2)}, name="inner")
    module = nn.Sequential(OneOf({"huge": Uncopyable(2, 2), "inner": inner, "small": nn.Linear(2, 2)}, name="outer"))
    child = Supernet(module).extract({"outer": "inner", "inner": "small"})
    assert [type(part) for part in child] == [nn.Linear]
    assert sum(1 for _ in child.parameters()) == 2


def test_a_supernet_that_ran_can_still_be_extracted_and_the_child_pickled(supernet):
    weights = {d.name: torch.full((len(d.options),), 0.5, requires_grad=True) for d in supernet.space.categorical}
    supernet(IMAGES, {name: 2 * weight for name, weight in weights.items()})
    architecture = supernet.space.sample(np.random.default_rng(0))
    child = supernet.extract(architecture).eval()
    assert torch.equal(pickle.loads(pickle.dumps(child))(IMAGES), child(IMAGES))


def snapshot(module):
    return [buffer.clone() for buffer in module.buffers()]


def same_buffers(module, before):
    return all(torch.equal(new, old) for new, old in zip(module.buffers(), before, strict=True))


def test_buffers_stand_still_while_they_are_kept(supernet):
    before = snapshot(supernet)
    architecture = {"a": "conv1", "b": "inner", "a_inner": "conv3", "b_inner": "conv3"}
    with buffers_kept(list(supernet.buffers())):
        supernet.train()(IMAGES, architecture)
        assert not same_buffers(supernet, before)
    assert same_buffers(supernet, before)


def test_buffers_are_restored_after_an_error(supernet):
    before = snapshot(supernet)

    def fail_after_a_pass():
        with buffers_kept(list(supernet.buffers())):
            supernet.train()(IMAGES, {"a": "conv1", "b": "conv1", "a_inner": "conv3", "b_inner": "conv3"})
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail_after_a_pass()
    assert same_buffers(supernet, before)


def test_scoring_uses_the_batch_statistics_and_leaves_no_trace(supernet):
    architecture = {"a": "conv1", "b": "inner", "a_inner": "conv3", "b_inner": "conv3"}
    in_training = supernet.extract(architecture).train()(IMAGES)
    before = snapshot(supernet)
    supernet.train()
    supernet.module.third.eval()
    modes = [module.training for module in supernet.modules()]
    with scoring(supernet):
        output = supernet(IMAGES, architecture)
    assert torch.equal(output, in_training)
    assert not output.requires_grad
    assert same_buffers(supernet, before)
    assert [module.training for module in supernet.modules()] == modes


def test_scoring_switches_dropout_off():
    supernet = Supernet(nn.Sequential(nn.Dropout(0.5), OneOf({"a": nn.Identity(), "b": nn.ReLU()}, name="c")))
    with scoring(supernet):
        assert torch.equal(supernet(IMAGES, {"c": "a"}), IMAGES)
