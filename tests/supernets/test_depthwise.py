"""Layers that take the short way through a CPU compute what torch's own compute."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from ray_asng.supernets.depthwise import AveragePooling, DepthwiseConv2d, phases

FORMATS = [torch.contiguous_format, torch.channels_last]
# Kernel, dilation, height, width: sizes that the dilation does not divide, kernels wider than their image.
SHAPES = [
    (1, 1, 5, 5),
    (3, 1, 8, 8),
    (5, 1, 7, 9),
    (7, 1, 9, 8),
    (3, 2, 8, 8),
    (3, 2, 7, 9),
    (5, 2, 8, 6),
    (5, 2, 10, 11),
    (5, 3, 17, 15),
    (9, 1, 4, 4),
]


def images(*shape, memory_format=torch.contiguous_format, seed=0, dtype=torch.float32):
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return drawn.contiguous(memory_format=memory_format)


def gradients(layer, inputs, gradient):
    """Output, and gradients by the inputs and by all weights."""
    inputs = inputs.detach().requires_grad_()
    output = layer(inputs)
    return output.detach(), *torch.autograd.grad(output, [inputs, *layer.parameters()], gradient)


def torchs(layer):
    plain = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=False,
    )
    plain.load_state_dict(layer.state_dict())
    return plain


@pytest.mark.parametrize("memory_format", FORMATS, ids=str)
@pytest.mark.parametrize(("kernel", "dilation", "height", "width"), SHAPES)
def test_a_depthwise_convolution_is_torchs(kernel, dilation, height, width, memory_format):
    layer = DepthwiseConv2d(6, kernel, dilation)
    inputs, gradient = (images(4, 6, height, width, memory_format=memory_format, seed=seed) for seed in (0, 1))
    (output, *ours), (expected, *theirs) = (gradients(each, inputs, gradient) for each in (layer, torchs(layer)))
    assert torch.equal(output, expected)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_the_gradient_by_the_inputs_keeps_their_layout_whatever_the_layout_of_the_outputs_gradient():
    inputs, gradient = images(4, 6, 8, 8, memory_format=torch.channels_last), images(4, 6, 8, 8)
    _, by_inputs, _ = gradients(DepthwiseConv2d(6, 5), inputs, gradient)
    assert by_inputs.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dilation", [1, 2])
def test_first_and_second_derivatives_of_a_depthwise_convolution_are_those_of_finite_differences(dilation):
    layer = DepthwiseConv2d(2, 5, dilation).double()
    inputs = images(1, 2, 10, 11, dtype=torch.float64).requires_grad_()

    def convolve(inputs, weight):
        return torch.func.functional_call(layer, {"weight": weight}, (inputs,))

    assert torch.autograd.gradcheck(convolve, (inputs, layer.weight))
    assert torch.autograd.gradgradcheck(convolve, (inputs, layer.weight))


def test_under_autocast_a_depthwise_convolution_runs_in_half_precision_and_its_weights_gradient_does_not():
    layer = DepthwiseConv2d(6, 5)
    with torch.autocast("cpu", torch.bfloat16):
        output, by_inputs, by_weight = gradients(
            layer, images(2, 6, 8, 8), torch.ones(2, 6, 8, 8, dtype=torch.bfloat16)
        )
    assert (output.dtype, by_inputs.dtype, by_weight.dtype) == (torch.bfloat16, torch.float32, torch.float32)


def test_frozen_weights_get_no_gradient_and_pass_one_on():
    layer = DepthwiseConv2d(6, 5).requires_grad_(False)
    inputs = images(2, 6, 5, 5).requires_grad_()
    layer(inputs).sum().backward()
    assert layer.weight.grad is None
    assert inputs.grad.abs().sum() > 0


def test_images_that_need_no_gradient_get_none():
    layer, inputs = DepthwiseConv2d(6, 5), images(2, 6, 5, 5)
    layer(inputs).sum().backward()
    assert inputs.grad is None
    assert layer.weight.grad.abs().sum() > 0


def test_a_depthwise_convolution_is_copied_and_saved_like_torchs():
    layer = DepthwiseConv2d(6, 5)
    copied = copy.deepcopy(layer)
    assert list(layer.state_dict()) == ["weight"]
    assert torch.equal(copied(images(1, 6, 8, 8)), layer(images(1, 6, 8, 8)))
    assert copied.weight is not layer.weight


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match=r"kernel_size must be odd.*got 4"):
        DepthwiseConv2d(6, 4)


def test_a_phase_holds_every_second_pixel_and_zeros_where_there_is_none():
    image = torch.arange(1.0, 16.0).view(1, 1, 3, 5)
    expected = [
        [[1, 3, 5], [11, 13, 15]],
        [[2, 4, 0], [12, 14, 0]],
        [[6, 8, 10], [0, 0, 0]],
        [[7, 9, 0], [0, 0, 0]],
    ]
    assert phases(image, 2).squeeze(1).tolist() == expected


@pytest.mark.parametrize("memory_format", FORMATS, ids=str)
@pytest.mark.parametrize(("channels", "height", "width"), [(5, 8, 8), (40, 8, 8), (5, 7, 9), (5, 1, 5), (5, 1, 1)])
def test_average_pooling_is_torchs_mean_over_what_lies_inside(channels, height, width, memory_format):
    inputs, gradient = (images(3, channels, height, width, memory_format=memory_format, seed=seed) for seed in (0, 1))
    torchs_own = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    for one, other in zip(
        gradients(AveragePooling(), inputs, gradient), gradients(torchs_own, inputs, gradient), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_average_pooling_keeps_its_precision_under_autocast():
    inputs = images(3, 5, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        pooled = AveragePooling()(inputs)
    expected = functional.avg_pool2d(inputs, 3, stride=1, padding=1, count_include_pad=False)
    torch.testing.assert_close(pooled, expected, rtol=1e-5, atol=1e-6)


def test_an_export_leaves_nothing_in_the_pooling_that_later_runs_would_take():
    pooling, images = AveragePooling(), torch.rand(2, 4, 19, 23)  # a size that nothing has run at before
    torch.export.export(pooling, (images,))
    expected = functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    torch.testing.assert_close(pooling(images), expected)
