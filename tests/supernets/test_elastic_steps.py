"""Steps of the weights of elastic layers: at the size that their paths used, with the result of whole gradients."""

import pytest
import torch
from torch import nn

from ray_asng import IntegerChoice, Supernet, tasks
from ray_asng.optimizers.asng import ASNG
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.supernets import elastic
from ray_asng.supernets.elastic.slices import SliceGradients

IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1)).to(memory_format=torch.channels_last)
NARROW, MIXED, WIDE = {"wide": 4, "inner": 4}, {"wide": 12, "inner": 4}, {"wide": 16, "inner": 12}


class Network(nn.Module):
    """A layer of every kind that slices its weights, one of them also used as a whole."""

    def __init__(self):
        super().__init__()
        wide = IntegerChoice(4, 16, step=4, name="wide")
        inner = IntegerChoice(4, 12, step=4, name="inner")
        self.stem = elastic.Conv2d(3, wide, 3, padding=1, bias=False)
        self.norm = elastic.BatchNorm2d(wide)
        self.down = elastic.DepthwiseConv2d(wide, 3, stride=2, padding=1)
        self.up = elastic.ConvTranspose2d(wide, inner, 2, stride=2)
        self.first = elastic.Linear(inner, wide)
        self.layer_norm = elastic.LayerNorm(wide)
        self.head = elastic.Linear(wide, 10)

    def forward(self, images):
        hidden = self.up(self.down(self.norm(self.stem(images)).relu())).mean((2, 3))
        # The whole of one weight, besides the slices of it.
        return self.head(self.layer_norm(self.first(hidden).tanh())) + self.head.weight.sum()


def build():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Supernet(Network()).to(memory_format=torch.channels_last)


def gradients_of(supernet, paths):
    for chosen in paths:
        supernet(IMAGES.to(next(supernet.parameters()).dtype), chosen).square().mean().backward()


def narrow_step(supernet, optimizer, paths):
    slices = SliceGradients()
    with slices.collecting():
        gradients_of(supernet, paths)
    slices.collect()
    with slices.narrowed(optimizer):
        optimizer.step()
    optimizer.zero_grad()


def whole_step(supernet, optimizer, paths):
    gradients_of(supernet, paths)
    optimizer.step()
    optimizer.zero_grad()


def weights(supernet):
    return {name: parameter.detach().clone() for name, parameter in supernet.named_parameters()}


OPTIMIZERS = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.1),
    "fused SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.1, fused=True),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1),
    "Rprop": lambda parameters: torch.optim.Rprop(parameters, lr=0.01),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("paths", [[NARROW], [WIDE], [NARROW, MIXED], [MIXED, WIDE, NARROW]], ids=str)
def test_what_the_paths_used_moves_as_with_whole_gradients(make, paths):
    narrow, whole = build().double(), build().double()
    narrow_optimizer, whole_optimizer = make(narrow.parameters()), make(whole.parameters())
    for _ in range(3):
        narrow_step(narrow, narrow_optimizer, paths)
        whole_step(whole, whole_optimizer, paths)
    used = {name: max(path[name] for path in paths) for name in ("wide", "inner")}
    got, expected = narrow.extract(used).state_dict(), whole.extract(used).state_dict()
    torch.testing.assert_close(got, expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_what_lies_beyond_the_widest_path_stands_still_whatever_happened_before(name):
    supernet = build()
    optimizer = OPTIMIZERS[name](supernet.parameters())
    narrow_step(supernet, optimizer, [{"wide": 16, "inner": 12}])
    before = weights(supernet)
    narrow_step(supernet, optimizer, [NARROW, {"wide": 8, "inner": 4}])
    after = weights(supernet)
    assert torch.equal(after["module.first.weight"][8:], before["module.first.weight"][8:])
    assert torch.equal(after["module.first.weight"][:, 4:], before["module.first.weight"][:, 4:])
    assert not torch.equal(after["module.first.weight"][:8, :4], before["module.first.weight"][:8, :4])
    assert torch.equal(after["module.norm.bias"][8:], before["module.norm.bias"][8:])


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_moments_have_the_shape_of_the_weights_after_a_narrow_step(name):
    supernet = build()
    optimizer = OPTIMIZERS[name](supernet.parameters())
    narrow_step(supernet, optimizer, [NARROW])
    for parameter in supernet.parameters():
        for moment in optimizer.state[parameter].values():
            assert not isinstance(moment, torch.Tensor) or moment.shape in (parameter.shape, ())


def test_a_narrow_step_that_fails_leaves_the_weights_whole():
    supernet = build()
    optimizer = OPTIMIZERS["SGD"](supernet.parameters())
    before = weights(supernet)
    slices = SliceGradients()
    with slices.collecting():
        gradients_of(supernet, [NARROW])
    slices.collect()
    with pytest.raises(KeyboardInterrupt), slices.narrowed(optimizer):
        raise KeyboardInterrupt
    assert all(torch.equal(value, before[name]) for name, value in weights(supernet).items())


def test_the_gradient_of_a_slice_has_the_size_of_the_slice():
    layer = elastic.Linear(64, IntegerChoice(8, 64, step=8, name="width"))
    supernet = Supernet(layer)
    slices = SliceGradients()
    with slices.collecting():
        supernet(torch.rand(2, 64), {"width": 8}).sum().backward()
    slices.collect()
    assert layer.weight.grad is None
    with slices.narrowed(torch.optim.SGD(supernet.parameters(), lr=0.1)):
        assert layer.weight.grad.shape == layer.weight.shape == (8, 64)
    assert layer.weight.shape == (64, 64)


def search_on(devices, **settings):
    supernet = build()
    generator = torch.Generator().manual_seed(2)
    images, labels = torch.rand(64, 3, 8, 8, generator=generator), torch.randint(10, (64,), generator=generator)
    settings = SearchSettings(epochs=2, steps_per_epoch=3, batch_size=8, samples=3, **settings)
    return Search(supernet, tasks.from_tensors(images, labels), ASNG(supernet.space), settings, device=devices)


def test_several_devices_step_on_slices_as_one_does_bit_for_bit():
    one, several = search_on("cpu"), search_on(["cpu", "cpu"])
    for search in (one, several):
        search.run_epoch()
    for network in several.replicas.networks:
        assert all(map(torch.equal, one.supernet.parameters(), network.parameters()))


def test_a_function_that_makes_another_optimizer_gets_whole_gradients():
    shapes = []

    class Watching(torch.optim.Rprop):
        def step(self, closure=None):
            parameters = self.param_groups[0]["params"]
            shapes.extend((p.shape, p.grad.shape) for p in parameters if p.grad is not None)
            return super().step(closure)

    largest = [parameter.shape for parameter in build().parameters()]
    search_on("cpu", weight_optimizer=Watching).run_epoch()
    assert all(one == other for one, other in shapes)
    assert {one for one, _ in shapes} <= set(largest)
