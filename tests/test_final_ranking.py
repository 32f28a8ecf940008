"""How a search ends: on which data candidates are ranked, and by which running statistics of batch norm."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from ray_asng import OneOf, Supernet, tasks
from ray_asng.final_ranking import final_architecture, first_examples, ranking_loss
from ray_asng.optimizers import ASNG, RSPS, SPOS, FairNAS, RandomSearch
from ray_asng.randomness import spawn_seeds
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.stream import IndexStream

FEW = {"population": 4, "generations": 2, "crossovers": 1, "mutations": 1}


class Normed(nn.Module):
    """Two choices, and a batch norm after each."""

    def __init__(self, *, track):
        super().__init__()
        layers = [f"layer {number}" for number in range(4)]
        self.first = OneOf({layer: nn.Linear(64, 64) for layer in layers}, name="first")
        self.norm = nn.BatchNorm1d(64, momentum=0.3, track_running_stats=track)
        self.second = OneOf({layer: nn.Linear(64, 64) for layer in layers}, name="second")
        self.last = nn.BatchNorm1d(64, affine=False, track_running_stats=track)
        self.head = nn.Linear(64, 10)

    def forward(self, images):
        return self.head(self.last(self.second(self.norm(self.first(images.flatten(1))).relu())))


def search(method, *, track=True, seed=0, **settings):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = Supernet(Normed(track=track))
    chosen = SearchSettings(**{"epochs": 1, "steps_per_epoch": 4, "batch_size": 32, **settings})
    return Search(supernet, tasks.digits(), method(supernet.space, seed=seed), chosen, seed=seed)


def trained(method, **settings):
    """A search after weight steps, before its end."""
    running = search(method, epochs=2, **settings)
    running.run_epoch()
    return running


PATH = {"first": "layer 1", "second": "layer 3"}


def plainly(running, batches, examples):
    """The loss of `PATH` by plain torch: statistics of each layer over training batches, then the examples."""
    module, task = running.supernet.module, running.task
    (seed,) = spawn_seeds((running.seed, 0), 1)
    size = running.settings.batch_size
    stream = IndexStream("train", task.size("train"), size, seed)
    inputs = [task.batch("train", stream.next())[0].flatten(1) for _ in range(batches)]
    valid, labels = task.batch("valid", torch.arange(examples))
    first, second = (getattr(module, name).candidates[int(PATH[name][-1])] for name in PATH)

    def normed(norm, seen, outputs):
        """Training batches by their own statistics, validation by the means of these."""
        mean = torch.stack([batch.mean(0) for batch in seen]).mean(0)
        variance = torch.stack([batch.var(0) for batch in seen]).mean(0)
        weight, bias = (1.0, 0.0) if norm.weight is None else (norm.weight, norm.bias)
        own = [(b - b.mean(0)) / (b.var(0, unbiased=False) + norm.eps).sqrt() * weight + bias for b in seen]
        return own, (outputs - mean) / (variance + norm.eps).sqrt() * weight + bias

    with torch.no_grad():
        seen, outputs = normed(module.norm, [first(batch) for batch in inputs], first(valid.flatten(1)))
        _, outputs = normed(module.last, [second(batch.relu()) for batch in seen], second(outputs.relu()))
        return float(nn.functional.cross_entropy(module.head(outputs), labels))


def test_a_recalibrated_loss_is_that_of_statistics_computed_by_plain_torch():
    running = trained(partial(SPOS, **FEW, recalibration_batches=7))
    loss = ranking_loss(running, 100, PATH)
    assert loss == pytest.approx(plainly(running, 7, 100), rel=1e-5)
    assert loss != pytest.approx(running.evaluate(PATH, examples=100)[0], rel=1e-3)


def test_buffers_modes_and_momenta_are_put_back():
    running = trained(partial(SPOS, **FEW))
    supernet = running.supernet
    before = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    modes = [part.training for part in supernet.modules()]
    ranking_loss(running, 50, PATH)
    assert before["module.norm.num_batches_tracked"] > 0
    assert all(torch.equal(buffer, before[name]) for name, buffer in supernet.named_buffers())
    assert [part.training for part in supernet.modules()] == modes
    assert (supernet.module.norm.momentum, supernet.module.last.momentum) == (0.3, 0.1)


def test_they_are_put_back_after_an_error_too():
    running = trained(partial(SPOS, **FEW))
    before = running.supernet.module.norm.running_mean.clone()
    with pytest.raises(ValueError, match="missing"):
        ranking_loss(running, 50, {"first": "layer 1"})
    assert torch.equal(running.supernet.module.norm.running_mean, before)
    assert running.supernet.module.norm.momentum == 0.3


def test_the_loss_of_a_path_does_not_depend_on_those_that_were_ranked_before():
    running = trained(partial(SPOS, **FEW))
    first = ranking_loss(running, 50, PATH)
    ranking_loss(running, 50, {**PATH, "first": "layer 0"})
    assert ranking_loss(running, 50, PATH) == first


@pytest.mark.parametrize("method", [SPOS, FairNAS])
def test_recalibration_is_counted_in_passes(method):
    running = trained(partial(method, **FEW, recalibration_batches=5))
    passes, evaluations = running.passes.forward, running.evaluations
    final_architecture(running)
    looked_at = running.evaluations - evaluations
    assert looked_at == 8
    assert running.passes.forward - passes == pytest.approx(looked_at * (5 + first_examples(running) / 32))


@pytest.mark.parametrize(
    ("method", "track"),
    [
        (partial(SPOS, **FEW), False),
        (partial(SPOS, **FEW, recalibration_batches=0), True),
        (partial(RandomSearch, candidates=4), True),
    ],
)
def test_norms_without_running_statistics_and_other_methods_need_none(method, track):
    running = trained(method, track=track)
    passes = running.passes.forward
    loss = ranking_loss(running, 100, PATH)
    assert running.passes.forward - passes == pytest.approx(100 / 32)
    assert loss == running.evaluate(PATH, examples=100)[0]


RANKED = {"candidates": 30, "batches": 1, "rescored": 4, "rounds": 2}


def test_the_best_of_the_first_stage_are_scored_again_on_the_whole_validation_split():
    """With a batch for the first stage, the answer is another one than that of the first stage alone."""
    running = trained(partial(RSPS, **RANKED), batch_size=8)
    answers = set()
    for _ in range(5):
        state = running.optimizer.state_dict()
        answer = final_architecture(running)
        running.optimizer.load_state_dict(state)
        finalists = running.optimizer.finalists(lambda each: running.evaluate(each, examples=8)[0])
        assert 4 <= len(finalists) <= 8
        assert answer == min(finalists, key=lambda each: running.evaluate(each)[0])
        answers.add(answer == finalists[0])
    assert False in answers


def test_both_stages_are_counted():
    running = trained(partial(RSPS, candidates=3, batches=2, rescored=3), batch_size=8)
    passes, evaluations = running.passes.forward, running.evaluations
    state = running.optimizer.state_dict()
    final_architecture(running)
    running.optimizer.load_state_dict(state)
    drawn = len(running.optimizer.finalists(lambda _: 0.0))
    assert running.evaluations - evaluations == 2 * drawn
    assert running.passes.forward - passes == pytest.approx(drawn * (2 + running.task.size("valid") / 8))


def test_other_methods_are_ranked_in_one_stage_on_at_most_2048_examples():
    running = trained(partial(RandomSearch, candidates=1))
    assert first_examples(running) == min(2048, running.task.size("valid"))
    evaluations = running.evaluations
    final_architecture(running)
    assert running.evaluations == evaluations + 1


def test_a_finalist_whose_loss_is_not_finite_does_not_win():
    running = trained(partial(RSPS, **RANKED))
    broken, sound = {**PATH, "first": "layer 0"}, PATH
    with torch.no_grad():
        running.supernet.module.first.candidates[0].weight.fill_(math.nan)
    space = running.space
    running.optimizer.finalists = lambda evaluate: [space.architecture(broken), space.architecture(sound)]
    assert dict(final_architecture(running)) == sound


def test_a_method_without_a_finalist_is_named():
    class Undecided(ASNG):
        def finalists(self, evaluate):
            return []

    with pytest.raises(ValueError, match=r"Undecided\.finalists must give at least one architecture, gave none"):
        search(Undecided).run_epoch()


def test_a_search_with_recalibration_ends_the_same_when_it_is_resumed():
    method = partial(SPOS, **FEW)
    straight, stopped, resumed = (search(method, epochs=2) for _ in range(3))
    straight.run_epoch()
    stopped.run_epoch()
    resumed.load_state_dict(stopped.state_dict())
    both = [straight.run_epoch(), resumed.run_epoch()]
    keys = ("architecture", "path_accuracy", "forward_passes", "evaluations", "valid_loss")
    assert [both[0][key] for key in keys] == [both[1][key] for key in keys]
    assert straight.architecture == resumed.architecture
