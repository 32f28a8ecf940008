"""The one-shot loop: what a step does, what a report holds, and exact recovery."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ray_asng import OneOf, Supernet, registry, tasks
from ray_asng.config import SearchConfig
from ray_asng.optimizers.asng import ASNG
from ray_asng.optimizers.darts import DARTS
from ray_asng.raytune.state_file import load_state, save_state
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.testing.equality import difference

TIMES = {"samples_per_second", "wall_seconds", "device_seconds", "peak_memory_bytes"}
SMALL = {
    "space_options": {"width": 4, "cells": 1},
    "steps_per_epoch": 3,
    "batch_size": 16,
    "epochs": 4,
    "method_options": {},
}
FEW = {name: {"candidates": 5} for name in ("random_search", "rsps")}
FEW |= {name: {"population": 3, "generations": 2, "crossovers": 1, "mutations": 1} for name in ("spos", "fairnas")}
# What a method asks of the network.
NETWORKS = {"pc_darts": {"edge_weights": True, "partial_channels": 2}, "drnas_progressive": {"partial_channels": 4}}


def build(method="asng", seed=0, **settings):
    own = {
        "method_options": FEW.get(method, {}),
        "space_options": {**SMALL["space_options"], **NETWORKS.get(method, {})},
    }
    return SearchConfig.from_mapping({**SMALL, "method": method, "seed": seed, **own, **settings}).build_search()


def run(search, epochs):
    return [{k: v for k, v in search.run_epoch().items() if k not in TIMES} for _ in range(epochs)]


def without_times(state):
    return {key: value for key, value in state.items() if key not in ("wall_seconds", "report")}


class Planted(nn.Module):
    """One option of each of three decisions lets the input through, the others give noise-free nothing."""

    def __init__(self):
        super().__init__()
        self.choices = nn.ModuleList(
            OneOf({"zero": Scale(0.0), "through": nn.Identity(), "half": Scale(0.01)}, name=f"c{i}") for i in range(3)
        )
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        x = x.flatten(1)
        for choice in self.choices:
            x = choice(x)
        return self.head(x)


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


class WithDropoutAndStatistics(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(64)
        self.layer = OneOf({"a": nn.Linear(64, 32), "b": nn.Sequential(nn.Linear(64, 32), nn.Tanh())}, name="layer")
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(32, 10))

    def forward(self, x):
        return self.head(self.layer(self.norm(x.flatten(1))))


def search_on(module, seed=0, **settings):
    supernet = Supernet(module)
    chosen = SearchSettings(**{"epochs": 4, "steps_per_epoch": 5, "batch_size": 32, **settings})
    return Search(supernet, tasks.digits(), ASNG(supernet.space, seed), chosen, seed=seed)


@pytest.mark.parametrize("method", list(registry.methods))
def test_a_restored_search_goes_on_bit_for_bit(method):
    straight, stopped, resumed = build(method), build(method), build(method)
    rows = run(straight, 4)
    run(stopped, 2)
    resumed.load_state_dict(stopped.state_dict())
    assert run(resumed, 2) == rows[2:]
    assert not difference(without_times(resumed.state_dict()), without_times(straight.state_dict()))


def test_a_search_restored_from_a_file_in_a_fresh_process_goes_on_bit_for_bit(tmp_path):
    straight, stopped = build(), build()
    rows = run(straight, 4)
    run(stopped, 2)
    save_state(stopped.state_dict(), tmp_path / "state.pt")
    script = (
        "import sys, json; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[1]); folder = Path(sys.argv[2])\n"
        "import torch; torch.set_num_threads(int(sys.argv[3]))\n"
        "from test_search import *\n"
        "search = build(); search.load_state_dict(load_state(folder / 'state.pt'))\n"
        "print(json.dumps(run(search, 2))); save_state(search.state_dict(), folder / 'end.pt')\n"
    )
    arguments = [str(Path(__file__).parent), str(tmp_path), str(torch.get_num_threads())]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == rows[2:]
    assert not difference(without_times(load_state(tmp_path / "end.pt")), without_times(straight.state_dict()))


def test_dropout_and_running_statistics_are_recovered_too():
    torch.manual_seed(0)
    module = WithDropoutAndStatistics()
    weights = {key: value.clone() for key, value in module.state_dict().items()}
    straight = search_on(module)
    rows = run(straight, 4)
    again = WithDropoutAndStatistics()
    again.load_state_dict(weights)
    first = search_on(again)
    run(first, 2)
    second = search_on(WithDropoutAndStatistics())
    second.load_state_dict(first.state_dict())
    torch.rand(7)  # the global generator is somewhere else now
    assert run(second, 2) == rows[2:]


def test_one_seed_gives_the_same_rows_twice_and_another_seed_others():
    assert run(build(seed=1), 2) == run(build(seed=1), 2)
    assert run(build(seed=1), 2) != run(build(seed=2), 2)


def test_a_search_leaves_the_global_generators_alone():
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002  # the global state is what is looked at
    run(build("darts"), 1)
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


@pytest.mark.parametrize("method", list(registry.methods))
def test_reports_are_plain_finite_and_have_the_same_keys(method):
    rows = run(build(method, warmup_epochs=1), 4)
    common = {"train_loss", "valid_loss", "train_accuracy", "valid_accuracy", "path_accuracy", "convergence", "entropy"}
    common |= {"parameter_free_share", "architecture", "probabilities", "evaluations", "epoch"}
    for row in rows:
        assert row.keys() == rows[0].keys() >= common
        assert json.loads(json.dumps(row, allow_nan=False)) == row
        assert all(math.isclose(sum(p), 1.0, abs_tol=1e-4) for p in row["probabilities"])


def test_asng_finds_a_planted_architecture():
    torch.manual_seed(0)
    search = search_on(Planted(), epochs=8, steps_per_epoch=40, lr=0.1)
    rows = run(search, 8)
    assert json.loads(rows[-1]["architecture"]) == {"c0": "through", "c1": "through", "c2": "through"}
    assert rows[-1]["convergence"] > 0.6 > rows[0]["convergence"] - 0.2
    assert rows[-1]["path_accuracy"] > 0.8


def test_the_distribution_stands_still_during_warm_up():
    search = build(warmup_epochs=2)
    first, second, third = run(search, 3)
    assert first["probabilities"] == second["probabilities"] == [[0.2] * 5] * 6
    assert second["evaluations"] == 0 < third["evaluations"]
    assert third["probabilities"] != first["probabilities"]


def test_weights_that_no_sampled_path_used_are_left_untouched():
    torch.manual_seed(0)
    module = WithDropoutAndStatistics()
    search = search_on(module, steps_per_epoch=1)
    before = {name: value.clone() for name, value in module.named_parameters()}
    inputs, targets = search.batch("train")
    loss, _ = search.loss_and_score(search.features(inputs), targets, {"layer": "a"})
    loss.backward()
    search.step_weights()
    run(search, 0)
    changed = {name for name, value in module.named_parameters() if not torch.equal(value, before[name])}
    assert any(name.startswith("layer.candidates.0") for name in changed)
    assert not any(name.startswith("layer.candidates.1") for name in changed)


def test_running_statistics_stand_still_while_architectures_are_evaluated():
    torch.manual_seed(0)
    module = WithDropoutAndStatistics()
    search = search_on(module)
    before = module.norm.running_mean.clone()
    search.evaluate({"layer": "a"})
    assert torch.equal(module.norm.running_mean, before)
    run(search, 1)
    steps = int(module.norm.num_batches_tracked)
    assert steps == 5 * 2  # two paths of each of the five training batches, none of the validation batches


def test_the_learning_rate_follows_a_cosine_to_zero():
    search = build(lr=0.1)
    rates = [row["learning_rate"] for row in run(search, 4)]
    steps = np.array([2, 5, 8, 11])  # the last of three steps of each epoch
    np.testing.assert_allclose(rates, 0.05 * (1 + np.cos(np.pi * steps / 12)))


@pytest.mark.parametrize("settings", [{"precision": "bfloat16"}, {"memory_format": "contiguous"}])
def test_precision_and_memory_format_change_numbers_little(settings):
    plain, other = run(build(), 1)[0], run(build(**settings), 1)[0]
    assert other["train_loss"] == pytest.approx(plain["train_loss"], rel=0.05)


@pytest.mark.parametrize("optimizer", ["adamw", lambda parameters: torch.optim.RMSprop(parameters, lr=1e-3)])
def test_other_weight_optimizers_resume_exactly(optimizer):
    straight, stopped, resumed = (build(weight_optimizer=optimizer) for _ in range(3))
    rows = run(straight, 4)
    run(stopped, 2)
    resumed.load_state_dict(stopped.state_dict())
    assert run(resumed, 2) == rows[2:]


def test_a_checkpoint_of_another_space_method_or_network_is_refused():
    state = build().state_dict()
    with pytest.raises(ValueError, match="another method"):
        build("sng").load_state_dict(state)
    with pytest.raises(ValueError, match="another space"):
        build(space_options={"width": 4, "cells": 1, "operations": ["none", "nor_conv_3x3"]}).load_state_dict(state)
    with pytest.raises(ValueError, match="other layers"):
        build(space_options={"width": 8, "cells": 1}).load_state_dict(state)


def test_a_checkpoint_of_a_newer_format_is_refused():
    state = build().state_dict()
    with pytest.raises(ValueError, match=r"format 99.*upgrade"):
        build().load_state_dict({**state, "format": 99})


def test_another_seed_takes_over_the_weights_with_its_own_rates_and_streams():
    donor = build()
    run(donor, 1)
    followers = [build(seed=seed, lr=0.05) for seed in (5, 5, 6)]
    for follower in followers:
        follower.load_state_dict(donor.state_dict())
    assert all(map(torch.equal, donor.parameters, followers[0].parameters))
    one, same_seed, other = (run(follower, 1) for follower in followers)
    assert one[0]["learning_rate"] == pytest.approx(2 * run(donor, 1)[0]["learning_rate"])
    assert one == same_seed
    assert one[0]["train_loss"] != other[0]["train_loss"]


def test_more_epochs_than_the_checkpoint_had_reopen_the_decision():
    short = build("random_search", epochs=2)
    run(short, 2)
    longer = build("random_search", epochs=4)
    longer.load_state_dict(short.state_dict())
    assert longer.architecture == longer.optimizer.most_likely()


def test_a_checkpoint_of_another_split_is_refused():
    search = build()
    run(search, 1)
    with pytest.raises(ValueError, match="resume with the same data, split_seed and train_fraction"):
        build(train_fraction=0.2).load_state_dict(search.state_dict())


def test_too_few_samples_for_a_ranking_method_are_refused():
    with pytest.raises(ValueError, match="samples must be at least 2 for ASNG"):
        build(samples=1)
    build("random_search", samples=1)


def test_the_loss_of_a_half_precision_network_has_full_precision():
    search = build(precision="bfloat16")
    inputs, targets = search.batch("train")
    architecture = search.space.sample(np.random.default_rng(0))
    loss, _ = search.loss_and_score(search.features(inputs), targets, architecture)
    assert loss.dtype == torch.float32


def test_losses_that_finalize_looks_at_are_counted():
    search = build("random_search", epochs=1)
    assert run(search, 1)[0]["evaluations"] == 3 * 2 + 5


def test_a_batch_larger_than_the_split_is_refused():
    with pytest.raises(ValueError, match=r"batch_size must be at least 1 and at most 71., .*'train'; got 5000"):
        build(batch_size=5000)


def test_a_loss_that_diverges_ends_the_search_with_the_remedy():
    torch.manual_seed(0)
    with pytest.raises(FloatingPointError, match="lower lr"):
        run(search_on(Planted(), lr=1e30, grad_clip=1e30, momentum=0.0, steps_per_epoch=20), 1)


def test_running_on_after_the_end_is_refused():
    search = build(epochs=1)
    run(search, 1)
    with pytest.raises(RuntimeError, match="done"):
        search.run_epoch()


def test_moments_come_into_the_memory_format_of_the_search_that_takes_them_up():
    donor, receiver = build(memory_format="channels_last"), build(memory_format="contiguous")
    run(donor, 1)
    receiver.load_state_dict(donor.state_dict())
    theirs = donor.weight_optimizer.state_dict()["state"]
    for index, weight in enumerate(receiver.parameters):
        moment = receiver.weight_optimizer.state[weight]["momentum_buffer"]
        assert moment.stride() == weight.stride()
        assert torch.equal(moment, theirs[index]["momentum_buffer"])


def test_a_search_without_momentum_hands_over_to_one_with():
    donor, receiver = build(momentum=0.0), build(momentum=0.9)
    run(donor, 1)
    receiver.load_state_dict(donor.state_dict())
    assert math.isfinite(run(receiver, 1)[0]["train_loss"])


def test_a_state_of_another_weight_optimizer_is_refused():
    with pytest.raises(ValueError, match="of another weight optimizer: it has 'SGD', this search 'AdamW'"):
        build(weight_optimizer="adamw").load_state_dict(build().state_dict())


def test_an_architecture_is_not_called_stable_while_nothing_is_learned():
    search = search_on(Planted(), epochs=8, warmup_epochs=4)
    stable = [row["stable_epochs"] for row in run(search, 8)]
    assert stable[:5] == [0, 0, 0, 0, 0]
    undecided = build("darts", epochs=6)  # its first logits differ by a thousandth
    assert [row["stable_epochs"] for row in run(undecided, 6)] == [0] * 6


@pytest.mark.parametrize("method", [ASNG, DARTS])
def test_paths_without_any_weights_are_searched_too(method):
    options = {"linear": nn.Linear(64, 10), "means": nn.AdaptiveAvgPool1d(10)}
    supernet = Supernet(nn.Sequential(nn.Flatten(), OneOf(options, name="layer")))
    search = Search(supernet, tasks.digits(), method(supernet.space), SearchSettings(epochs=1, steps_per_epoch=20))
    assert math.isfinite(search.run_epoch()["train_loss"])


def test_options_that_all_lack_weights_are_no_collapse():
    activations = OneOf({"relu": nn.ReLU(), "tanh": nn.Tanh()}, name="activation")
    layer = OneOf({"linear": nn.Linear(64, 64), "skip": nn.Identity()}, name="layer")
    supernet = Supernet(nn.Sequential(nn.Flatten(), activations, layer, nn.Linear(64, 10)))
    assert supernet.parameter_free_share({"activation": "relu", "layer": "linear"}) == 0.0
    assert supernet.parameter_free_share({"activation": "relu", "layer": "skip"}) == 1.0
    alone = Supernet(nn.Sequential(nn.Flatten(), OneOf({"relu": nn.ReLU(), "tanh": nn.Tanh()}), nn.Linear(64, 10)))
    assert alone.parameter_free_share({"1": "tanh"}) == 0.0


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["asng", "darts"])
def test_a_restored_search_on_cuda_goes_on_bit_for_bit(method, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        config = SearchConfig.from_mapping({**SMALL, "method": method, "seed": 0})
        straight, stopped, resumed = (config.build_search("cuda") for _ in range(3))
        rows = run(straight, 4)
        run(stopped, 2)
        resumed.load_state_dict(stopped.state_dict())
        assert run(resumed, 2) == rows[2:]
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("cosine", [1.0, 0.75, 0.25]), ("linear", [1.0, 2 / 3, 1 / 3]), ("constant", [1.0] * 3)],
)
def test_the_learning_rate_follows_the_schedule(schedule, expected):
    search = build(lr=0.1, schedule=schedule, epochs=3, steps_per_epoch=1)
    assert [search.run_epoch()["learning_rate"] for _ in range(3)] == pytest.approx([0.1 * e for e in expected])


def test_a_schedule_of_the_users_own_holds_for_every_group_of_a_weight_optimizer_of_his_own():
    def two_groups(parameters):
        first, *others = parameters
        return torch.optim.AdamW([{"params": [first], "lr": 0.5}, {"params": others, "lr": 0.01}])

    search = build(weight_optimizer=two_groups, schedule=lambda share: 0.5 if share < 0.5 else 0.25, epochs=2)
    rates = []
    for _ in range(2):
        search.run_epoch()
        rates.append([group["lr"] for group in search.weight_optimizer.param_groups])
    assert rates == [[0.25, 0.005], [0.125, 0.0025]]


def test_a_schedule_that_gives_no_number_is_refused():
    with pytest.raises(ValueError, match="what schedule returns for 0 must be a finite number from 0, got nan"):
        build(schedule=lambda share: math.nan).run_epoch()
    with pytest.raises(ValueError, match="unknown schedule 'cosin'; did you mean 'cosine'"):
        build(schedule="cosin")


class Narrow(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = OneOf({"a": nn.Linear(32, 10), "b": nn.Linear(32, 10)}, name="layer")

    def forward(self, images):
        return self.layer(images.flatten(1))


def test_a_module_that_does_not_take_the_tasks_batches_is_refused_before_the_first_step():
    message = r"fails on inputs of the task 'digits', a tensor of shape \(4, 1, 8, 8\) .*cannot be multiplied"
    with pytest.raises(ValueError, match=message):
        build(space=Narrow, space_options={})


class WrongOutputs(Narrow):
    def __init__(self):
        super().__init__()
        self.layer = OneOf({"a": nn.Linear(64, 10), "b": nn.Linear(64, 10)}, name="layer")

    def forward(self, images):
        return {"scores": super().forward(images)}


def test_outputs_that_the_loss_does_not_take_are_refused_before_the_first_step():
    with pytest.raises(
        ValueError, match=r"loss of the task 'digits' does not take outputs a dict of 'scores': a tensor"
    ):
        build(space=WrongOutputs, space_options={})


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (
            lambda outputs, targets: outputs.sum() * math.nan,
            "accuracy of the task 'digits' is nan on its first training",
        ),
        (lambda outputs, targets: outputs[:, 0], "accuracy of the task 'digits' must be a tensor without dimensions"),
        (lambda outputs, targets: 0.5, "must be a tensor without dimensions, got 0.5"),
    ],
)
def test_a_metric_that_is_no_finite_number_is_refused_before_the_first_step(score, message, monkeypatch):
    monkeypatch.setattr("ray_asng.tasks.image_task.ImageTask.score", lambda self, *pair: score(*pair))
    with pytest.raises(ValueError, match=message):
        build()


def test_trying_paths_leaves_no_trace():
    task = tasks.digits()
    module = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), OneOf({"a": nn.Linear(64, 10), "b": nn.Linear(64, 10)}))
    before = [buffer.clone() for buffer in module.buffers()]
    supernet, state = Supernet(module), torch.get_rng_state()
    search = Search(supernet, task, ASNG(supernet.space), SearchSettings(epochs=1))
    assert all(torch.equal(*pair) for pair in zip(before, module.buffers(), strict=True))
    assert module.training
    assert torch.equal(torch.get_rng_state(), state)
    assert (search.passes.total, search.evaluations) == (0, 0)
