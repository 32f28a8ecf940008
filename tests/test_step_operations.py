"""A one-shot step does what its sampled children do, and little more: operations are counted, not seconds."""

import copy
from collections import Counter

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ray_asng import Supernet, tasks
from ray_asng.optimizers import ASNG
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.supernets.nasbench201 import NASBench201
from ray_asng.tally import Tally

# Operations whose cost grows with the network: a step must not have more of them than its children have.
HEAVY = ("convolution", "batch_norm", "relu", "threshold", "addmm", "mm", "mean.dim")


class Counting(TorchDispatchMode):
    """Counts the operations that run, and the tensors that clipping and the weight optimizer touch."""

    def __init__(self):
        super().__init__()
        self.operations = Counter()
        self.stepped = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        name = str(function).removeprefix("aten.")
        self.operations[name] += 1
        if name.startswith("_fused_sgd"):
            self.stepped += len(arguments[0])
        return function(*arguments, **(keywords or {}))

    def heavy(self):
        return sum(count for name, count in self.operations.items() if any(heavy in name for heavy in HEAVY))


def make_search(cells=1, batch_size=8):
    torch.manual_seed(0)
    supernet = Supernet(NASBench201(width=4, cells=cells, in_channels=1))
    settings = SearchSettings(epochs=1, batch_size=batch_size)
    search = Search(supernet, tasks.digits(), ASNG(supernet.space), settings)
    supernet.train()
    return search


def counted(run):
    with Counting() as counting:
        run()
    return counting


def sampled(search):
    """The architectures of the next step, and the search as it was."""
    state = search.optimizer.state_dict()
    drawn = [[proposal.architecture for proposal in search.optimizer.ask(2)] for _ in range(2)]
    search.optimizer.load_state_dict(state)
    return drawn


def step(search):
    search._steps.weight_step(Tally())
    search._steps.architecture_step(Tally(), learn=True)


def children_step(search, architectures):
    """The same with extracted children."""
    for_weights, for_architecture = ([search.supernet.extract(a) for a in drawn] for drawn in architectures)
    inputs, targets = search.batch("train")
    with Counting() as counting:
        for child in for_weights:
            search.task.loss(child.train()(inputs), targets).backward()
        with torch.no_grad():
            for child in for_architecture:
                search.task.loss(child.train()(inputs), targets)
    return counting


@pytest.mark.parametrize("cells", [1, 2])
def test_a_step_runs_no_more_heavy_operations_than_its_sampled_children(cells):
    search = make_search(cells)
    floor = children_step(make_search(cells), sampled(search))
    ours = counted(lambda: step(search))
    # The children run the layers before the first choice once each; a step once for both.
    assert floor.heavy() - 12 <= ours.heavy() <= floor.heavy()


def test_what_a_step_adds_to_its_children_does_not_grow_with_the_network():
    added = []
    for cells in (1, 4):
        search = make_search(cells)
        floor = children_step(make_search(cells), sampled(search)).operations
        ours = counted(lambda search=search: step(search)).operations
        # Of the weight optimizer a step has one operation for many tensors, but adding gradients is one a weight.
        added.append(sum((ours - floor).values()) - ours["add_.Tensor"])
    assert added[1] <= added[0] + 4
    assert added[0] < 260


def test_clipping_and_the_weight_optimizer_touch_the_weights_of_sampled_paths_alone():
    search = make_search()
    for_weights, _ = sampled(search)
    used = {
        name for architecture in for_weights for name, weight in weights_of(search, architecture) if weight is not None
    }
    counting = counted(lambda: search._steps.weight_step(Tally()))
    assert counting.stepped == len(used) < len(search.parameters)


def weights_of(search, architecture):
    """Names of the weights that a path gives a gradient, found on a copy."""
    supernet = copy.deepcopy(search.supernet)
    inputs, targets = tasks.digits().batch("train", torch.arange(4))
    nn.functional.cross_entropy(supernet(inputs, architecture), targets).backward()
    return [(name, weight.grad) for name, weight in supernet.named_parameters()]


def test_a_step_reads_no_number_from_the_device_but_the_list_of_ranked_losses():
    search = make_search()
    step(search)
    # `item`, `float` and `bool` of a tensor, and indexing by truth values, wait for the device and show here; `tolist`,
    # by which the losses are read, is no operation.
    waits = [name for name in counted(lambda: step(search)).operations if "scalar_dense" in name or "nonzero" in name]
    assert waits == []
