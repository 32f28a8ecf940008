"""Memory of a step: what autograd keeps of one pass, and the peak of a process that does nothing else.

As a program, `peak_memory.py CASE WORK` is such a process: it takes a few steps and prints its peak resident memory.
Linux only.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from measured_networks import CASES, SMOKE, Case, largest, make_search, plain_child
from next_step import stepping_weights

from ray_asng.optimizers.base import Proposal, SamplingOptimizer
from ray_asng.search import Search
from ray_asng.tally import Tally

_STEPS = 4


def one_shot_step(search: Search) -> None:
    """A weight step and an architecture step as the search runs them, with their metrics."""
    train, valid = Tally(), Tally()
    search._steps.weight_step(train)
    search._steps.architecture_step(valid, learn=True)


def saved_bytes(run: Callable[[], torch.Tensor]) -> int:
    """Bytes that autograd keeps for the backward pass of what `run` returns, its weights not counted."""
    storages: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        kept = run()
    del kept
    return sum(storages.values())


def propose_largest(search: Search) -> None:
    """Let every path be the largest one: the most that a step can take."""
    architecture = largest(search.supernet)
    proposal = Proposal(architecture, *search.space.encode(architecture))
    if isinstance(search.optimizer, SamplingOptimizer):
        search.optimizer.ask = lambda count: [proposal] * count  # type: ignore[method-assign]


def run_nothing(case: Case) -> None:
    """What the others are measured above: a process that has built the search."""
    make_search(case)


def run_child(case: Case) -> None:
    """The largest child trained alone."""
    search = make_search(case)
    child = plain_child(search.supernet, largest(search.supernet))
    step_weights = stepping_weights(search, [child])
    search.parameters = list(child.parameters())
    for _ in range(_STEPS):
        inputs, targets = search.batch("train")
        search.task.loss(child(inputs), targets).backward()
        step_weights()


def run_summed(case: Case) -> None:
    """The one-shot step with the losses of its paths summed before one backward pass, as published."""
    search = make_search(case)
    architecture = largest(search.supernet)
    for _ in range(_STEPS):
        inputs, targets = search.batch("train")
        features = search.features(inputs)
        with search.replicas.slices.collecting():
            losses = [search.loss_and_score(features, targets, architecture)[0] for _ in range(2)]
            torch.stack(losses).mean().backward()
        search.replicas.collect_gradients()
        search.step_weights()


def run_method(case: Case, method: str) -> None:
    """Steps of a method; of one that samples, with the largest paths."""
    search = make_search(case, method)
    propose_largest(search)
    for _ in range(_STEPS):
        one_shot_step(search)


WORKS: Mapping[str, Callable[[Case], None]] = {"nothing": run_nothing, "child": run_child, "summed": run_summed}


def peak_bytes(case: str, work: str) -> int:
    """Peak resident memory of a fresh process that does `work`: one of `WORKS`, or a method."""
    command = [sys.executable, __file__, case, work]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return int(done.stdout)


def own_peak_bytes() -> int:
    """Peak resident memory of this process, in bytes.

    Not that of `resource.getrusage`, which on Linux begins with the peak of the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return 1024 * int(line.split()[1])


def main(name: str, work: str) -> None:
    torch.set_num_threads(1)
    case = {**CASES, **SMOKE}[name]
    if work in WORKS:
        WORKS[work](case)
    else:
        run_method(case, work)
    print(own_peak_bytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
