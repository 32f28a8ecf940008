import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ray_asng import Supernet
from ray_asng.optimizers import ASNG
from ray_asng.supernets.autoencoder import AutoEncoder, CategoricalAutoEncoder, IntegerAutoEncoder
from ray_asng.supernets.autoencoder_space import Grid, active_layers, categorical_space
from ray_asng.supernets.halving import Convolution, Mirror

BOTH = [CategoricalAutoEncoder, IntegerAutoEncoder]


def images(size=16, channels=3):
    return torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(0))


def supernet_of(kind, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Supernet(kind(**{"width": 8, "size": 16, **options}))


def drawn(supernet, count, seed=0):
    rng = np.random.default_rng(seed)
    return [supernet.space.sample(rng) for _ in range(count)]


@pytest.mark.parametrize(("kind", "decisions", "n_theta"), [(BOTH[0], 60, 214), (BOTH[1], 80, 174)])
def test_the_encodings_have_as_many_parameters_as_published(kind, decisions, n_theta):
    """Of 20 columns with a level-back of 5; decisions with a single option are left out."""
    space = supernet_of(kind).space
    assert len(space) == decisions
    assert len(ASNG(space).s) == n_theta


@pytest.mark.parametrize("kind", BOTH)
def test_children_compute_what_paths_compute_and_hold_no_choice(kind):
    supernet = supernet_of(kind)
    for architecture in drawn(supernet, 50):
        child = supernet.extract(architecture)
        torch.testing.assert_close(child(images()), supernet(images(), architecture), atol=1e-6, rtol=1e-5)
        kinds = {type(part) for part in child.modules()}
        assert kinds <= {AutoEncoder, nn.ModuleList, Convolution, Mirror}


@pytest.mark.parametrize("kind", BOTH)
def test_a_path_is_that_of_padded_inputs_and_truncated_outputs(kind):
    """The published way: whole weights, inputs filled up with zeros to all channels, outputs cut to those chosen."""
    supernet = supernet_of(kind)
    network, width = supernet.module, supernet.module.grid.width

    def padded(features):
        return functional.pad(features, (0, 0, 0, 0, 0, width - features.shape[1]))

    for architecture in drawn(supernet, 10, seed=1):
        features, kept = images(), []
        layers = active_layers(architecture, network.grid)
        for layer in layers:
            key = f"{layer.column}_{'skip_' * layer.has_skip}{layer.kernel}"
            options = {"stride": 1 if layer.has_skip else 2, "padding": layer.kernel // 2}
            size, features = features.shape[2:], functional.conv2d(padded(features), network.encoder[key], **options)
            features = features.relu()[:, : layer.width]
            kept.append((layer, key, options, size, features))
        for layer, key, options, size, outputs in reversed(kept):
            more = options["stride"] - 1
            features = functional.conv_transpose2d(
                padded(features), network.decoder[key], output_padding=more, **options
            )
            features = features[:, : layer.width, : size[0], : size[1]]
            features = (features + outputs if layer.has_skip else features).relu()
        expected = functional.conv_transpose2d(padded(features), network.output, padding=1)
        torch.testing.assert_close(supernet(images(), architecture), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", BOTH)
def test_canonical_forms_compute_the_same_and_are_their_own(kind):
    supernet = supernet_of(kind)
    for architecture in drawn(supernet, 30, seed=2):
        canonical = supernet.space.canonical(architecture)
        assert torch.equal(supernet(images(), canonical), supernet(images(), architecture))
        assert supernet.space.canonical(canonical) == canonical


def test_what_the_output_does_not_depend_on_has_no_influence():
    supernet = supernet_of(CategoricalAutoEncoder)
    (architecture,) = drawn(supernet, 1, seed=3)
    active = {layer.column for layer in active_layers(architecture, supernet.module.grid)}
    others = [column for column in range(1, 21) if column not in active]
    changed = {**architecture}
    for column in others:
        changed[f"node_{column}_layer"] = "skip_conv_5x5"
        changed[f"node_{column}_channels"] = "8"
    assert len(others) > 5
    assert torch.equal(supernet(images(), changed), supernet(images(), architecture))
    assert supernet.space.canonical(changed) == supernet.space.canonical(architecture)


@pytest.mark.parametrize(("size", "halvings"), [(2, 1), (3, 2), (8, 3), (9, 4), (64, 6)])
def test_columns_that_would_halve_one_pixel_are_left_out(size, halvings):
    grid = Grid(8, size, 20, 2)
    every = {"output": "20"} | {f"node_{n}_input": str(n - 1) for n in range(2, 21)}
    for n in range(1, 21):
        every |= {f"node_{n}_layer": "conv_3x3", f"node_{n}_channels": "8"}
    assert len(active_layers(every, grid)) == halvings
    supernet = supernet_of(CategoricalAutoEncoder, size=size, level_back=2)
    assert supernet(images(size), every).shape == (2, 3, size, size)
    assert supernet.space.canonical(every) == categorical_space(grid).canonical(every)


@pytest.mark.parametrize("kind", BOTH)
def test_every_weight_of_a_child_learns_but_those_behind_dead_units(kind):
    supernet = supernet_of(kind, width=32)
    for architecture in drawn(supernet, 5, seed=4):
        child = supernet.build_child(architecture)
        (child(images()) - images()).square().mean().backward()
        assert all(parameter.grad is not None for parameter in child.parameters())


def test_a_step_leaves_alone_the_weights_of_other_columns_and_layers():
    supernet = supernet_of(CategoricalAutoEncoder)
    (architecture,) = drawn(supernet, 1)
    supernet(images(), architecture).square().sum().backward()
    used = {name for name, parameter in supernet.module.encoder.items() if parameter.grad is not None}
    layers = active_layers(architecture, supernet.module.grid)
    assert used == {f"{layer.column}_{'skip_' * layer.has_skip}{layer.kernel}" for layer in layers}


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(("size", "halvings"), [(8, 1), (16, 2), (32, 3), (64, 4)])
def test_the_auto_encoder_made_by_hand_halves_to_four_pixels_with_skip_connections_between(kind, size, halvings):
    network = supernet_of(kind, size=size).module
    layers = active_layers(network.hand_made(), network.grid)
    assert sum(not layer.has_skip for layer in layers) == halvings
    assert {(layer.kernel, layer.width) for layer in layers} == {(3, 8)}
    assert layers[1].has_skip


def test_the_picture_is_the_chain_from_the_image_to_the_output():
    supernet = supernet_of(CategoricalAutoEncoder, size=8)
    graph = supernet.space.graph(supernet.module.hand_made())
    assert graph["nodes"] == ["image", "5", "10", "15", "20"]
    assert graph["edges"][:2] == [["image", "5", "3x3, 8, halves"], ["5", "10", "3x3, 8"]]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 10}, "width must be a multiple of 4; got 10"),
        ({"width": 0}, "width must be at least 1"),
        ({"size": 1}, "size must be at least 2 pixels, got 1"),
        ({"columns": 3}, "columns >= level_back >= 2.* columns=3 and level_back=5"),
        ({"level_back": 1}, "columns >= level_back >= 2"),
    ],
)
def test_widths_and_grids_that_cannot_be_served_are_refused(kind, options, words):
    with pytest.raises(ValueError, match=words):
        kind(**{"width": 8, "size": 16, **options})


def test_mixing_is_refused():
    supernet = supernet_of(CategoricalAutoEncoder)
    with pytest.raises(ValueError, match="cannot be mixed"):
        supernet(images(), {"output": torch.full((5,), 0.2)})
