"""Layers that halve height and width, and what torch is asked for: a strided 1x1 convolution can kill the process."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from ray_asng import Supernet
from ray_asng.registry import spaces
from ray_asng.supernets.halving import Convolution, Mirror, convolve, mirror

SIZES = {"nasbench201": {"cells": 1}, "enas_micro": {"cells": 3}, "darts": {"cells": 3}} | {
    name: {"cells": 3} for name in ("s1", "s2", "s3", "s4")
}


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)


def check_same(found, expected, inputs):
    torch.testing.assert_close(found, expected)
    towards = random(*expected.shape, seed=1).detach()
    for own, theirs in zip(
        torch.autograd.grad(found, inputs, towards), torch.autograd.grad(expected, inputs, towards), strict=True
    ):
        torch.testing.assert_close(own, theirs)


@pytest.mark.parametrize("size", [(4, 6), (5, 3), (1, 1)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_outputs_and_gradients_are_those_of_strided_convolutions(kernel, stride, size):
    images, weight = random(2, 5, *size), random(6, 5, kernel, kernel)
    expected = functional.conv2d(images, weight, stride=stride, padding=kernel // 2)
    check_same(convolve(images, weight, stride), expected, (images, weight))


@pytest.mark.parametrize("size", [(4, 6), (5, 3), (1, 1)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_mirror_images_and_their_gradients_are_those_of_transposed_convolutions(kernel, stride, size):
    features, weight = random(2, 5, *size), random(5, 6, kernel, kernel)
    settings = {"stride": stride, "padding": kernel // 2, "output_padding": stride - 1}
    check_same(mirror(features, weight, stride), functional.conv_transpose2d(features, weight, **settings), (weight,))
    check_same(mirror(features, weight, stride), functional.conv_transpose2d(features, weight, **settings), (features,))


@pytest.mark.parametrize(("kind", "compute"), [(Convolution, convolve), (Mirror, mirror)])
def test_layers_compute_what_the_functions_compute(kind, compute):
    for kernel in (1, 3):
        layer = kind(3, 4, kernel, stride=2).double()
        images = random(2, 3, 4, 4)
        assert torch.equal(layer(images), compute(images, layer.weight, 2))
        assert layer.bias is None


class Strided(TorchDispatchMode):
    """Keeps the weights' shapes of strided 1x1 convolutions."""

    def __init__(self):
        super().__init__()
        self.seen, self.convolutions = [], 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        if str(function).startswith("aten.convolution."):
            self.convolutions += 1
            weight, stride = arguments[1], arguments[3]
            if weight.shape[2:] == (1, 1) and max(stride) > 1:
                self.seen.append(tuple(weight.shape))
        return function(*arguments, **(keywords or {}))


@pytest.mark.parametrize("name", list(spaces))
def test_no_built_in_space_asks_torch_for_a_strided_1x1_convolution(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = Supernet(spaces[name](**{"width": 8, **SIZES.get(name, {"size": 16})}))
    rng = np.random.default_rng(0)
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for _ in range(10):
        architecture = supernet.space.sample(rng)
        for network in (lambda x, a=architecture: supernet(x, a), supernet.extract(architecture)):
            with Strided() as strided:
                network(images)
            assert strided.convolutions
            assert not strided.seen
