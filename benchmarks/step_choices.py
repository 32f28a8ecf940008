"""Other ways to arrange a one-shot step, each timed against the present one: why it is as it is.

Every alternative differs from the present step in what its name says alone and takes the same step (architectures and
batch) beside it in one process. Above 1 the present way is faster. What computes something else than the present step
but for rounding is marked so.

- *Not compared*: batches prepared by another thread. A trial has the cores that Tune gave it, one by default, and all
  data of a step take a few percent of it (`step_cost.py`).
- *torch.compile* is timed on single operations, forward and backward, with the seconds of its warm-up: every operation
  at every size is compiled by itself.

    python benchmarks/step_choices.py --output step_choices
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
from depthwise_network import separable
from interleaved import Estimate, interleave, ratio
from layer_cost import passes
from measured_networks import BATCH_SIZE, CASES, SMOKE, Case, make_search
from next_step import random_state, set_random_state
from peak_memory import one_shot_step
from published_step import stepping_all_weights, whole_paths, with_torch_layers
from report import leave, machine, table
from torch import nn

from ray_asng.search import Search
from ray_asng.supernets.operations import ReLUConvBN
from ray_asng.tally import Tally


def present(case: Case) -> Search:
    """The step as it is."""
    return make_search(case)


def contiguous(case: Case) -> Search:
    """Memory format: contiguous."""
    return make_search(case, memory_format="contiguous")


def bfloat16(case: Case) -> Search:
    """Autocast to bfloat16 (another result)."""
    return make_search(case, precision="bfloat16")


def torch_layers(case: Case) -> Search:
    """torch's depth-wise convolution and pooling."""
    supernet = case.build()
    with_torch_layers(supernet)
    return make_search(case, supernet=supernet)


class MeanVarianceNorm(nn.Module):
    """Batch norm from torch.var_mean."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        variance, mean = torch.var_mean(inputs, (0, 2, 3), correction=0, keepdim=True)
        return (inputs - mean) * torch.rsqrt(variance + 1e-5)


def own_batch_norm(case: Case) -> Search:
    """Batch norm from torch.var_mean."""
    supernet = case.build()
    for owner in list(supernet.modules()):
        for name, part in list(owner.named_children()):
            if isinstance(part, nn.BatchNorm2d):
                setattr(owner, name, MeanVarianceNorm())
    return make_search(case, supernet=supernet)


def all_weights(case: Case) -> Search:
    """Clip and fused SGD over all weights (another result: unused ones coast and decay)."""
    return stepping_all_weights(make_search(case), foreach=True)


def plain_sgd(case: Case, **options: bool) -> Search:
    """SGD of another implementation."""
    search = make_search(case)
    optimizer = torch.optim.SGD(search.parameters, lr=search.settings.lr, momentum=0.9, weight_decay=3e-4, **options)
    search.weight_optimizer = optimizer
    return search


def summed_losses(case: Case) -> Search:
    """The losses of both paths summed before one backward pass."""
    search = make_search(case)

    def weight_step(tally: Tally) -> None:
        inputs, targets = search.batch("train")
        losses = []
        features = search.features(inputs)
        for proposal in search.optimizer.ask(2):  # type: ignore[union-attr]  # ASNG samples
            loss, score = search.loss_and_score(features, targets, proposal.architecture)
            losses.append(loss)
            tally.add(loss, score, len(targets))
        torch.stack(losses).mean().backward()
        search.step_weights()

    search._steps.weight_step = weight_step  # type: ignore[method-assign]
    return search


def stem_for_each_path(case: Case) -> Search:
    """The layers before the first choice for each path by itself."""
    return whole_paths(make_search(case))


ALTERNATIVES: dict[str, Callable[[Case], Search]] = {
    "memory format contiguous": contiguous,
    "bfloat16 (other results)": bfloat16,
    "torch's depth-wise convolution and pooling": torch_layers,
    "batch norm from torch.var_mean": own_batch_norm,
    "clip and SGD over all weights (other results)": all_weights,
    "SGD foreach instead of fused": partial(plain_sgd, foreach=True),
    "SGD one by one instead of fused": partial(plain_sgd, foreach=False),
    "losses summed before one backward pass": summed_losses,
    "layers before the first choice for each path": stem_for_each_path,
}


def compare(case: Case) -> dict[str, Estimate]:
    """The time of each alternative over that of the present step."""
    searches = {"present": present(case), **{name: build(case) for name, build in ALTERNATIVES.items()}}

    def prepare() -> None:
        state = random_state(searches["present"])
        for search in searches.values():
            set_random_state(search, state)

    jobs = {name: partial(one_shot_step, search) for name, search in searches.items()}
    seconds = interleave(jobs, case.repeats, warmups=2, before=prepare)
    return {name: ratio(seconds[name], seconds["present"]) for name in ALTERNATIVES}


def compiled_operations(repeats: int) -> dict[str, tuple[Estimate, float]]:
    """The time of an operation as it is over the compiled one, and the seconds until that had warmed up."""
    operations = {
        "ReLU, convolution 3x3, batch norm; C=16 32x32": ReLUConvBN(16, 16, 3, stride=1, affine=False),
        "separable convolution 3x3; C=16 32x32": nn.Sequential(*separable(16, 3, False), *separable(16, 3, False)),
    }
    found = {}
    for name, operation in operations.items():
        operation.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        inputs, gradient = (
            torch.randn(BATCH_SIZE, 16, 32, 32).contiguous(memory_format=torch.channels_last) for _ in range(2)
        )
        inputs.requires_grad_()
        started = time.perf_counter()
        compiled = torch.compile(operation)
        passes(compiled, inputs, gradient)()  # type: ignore[arg-type]  # a module, called a function
        warmup = time.perf_counter() - started
        jobs = {
            "eager": passes(operation, inputs, gradient),
            "compiled": passes(compiled, inputs, gradient),  # type: ignore[arg-type]
        }
        seconds = interleave(jobs, repeats)
        found[name] = (ratio(seconds["eager"], seconds["compiled"]), warmup)
    return found


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("step_choices"), show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=None, help="Of every network; else as many as it needs.")
@click.option("--smoke", is_flag=True, help="A few repeats of the small size, nothing compiled.")
def main(output: Path, repeats: int | None, smoke: bool) -> None:
    """Time other ways to arrange a step against the present one."""
    torch.set_num_threads(1)
    where = machine()
    rows: dict[str, Mapping[str, Estimate]] = {}
    for name, case in (SMOKE if smoke else CASES).items():
        rows[name] = compare(replace(case, repeats=repeats or max(3, case.repeats // 4)))
        click.echo(f"{name}: done")
    tables = [
        table(
            ["alternative / present", *rows],
            [[alternative, *(row[alternative] for row in rows.values())] for alternative in ALTERNATIVES],
        )
    ]
    numbers: dict[str, Any] = {
        "rows": {name: {what: estimate.numbers() for what, estimate in row.items()} for name, row in rows.items()}
    }
    if not smoke:
        compiled = compiled_operations(30)
        tables.append(
            table(
                ["operation", "present / compiled", "warm-up"],
                [[name, faster, f"{warmup:.0f} s"] for name, (faster, warmup) in compiled.items()],
            )
        )
        numbers["compiled"] = {name: [faster.numbers(), warmup] for name, (faster, warmup) in compiled.items()}
    settings = {"batch": BATCH_SIZE, "threads": 1, **where}
    click.echo(
        leave(
            output,
            "step_choices",
            "Other ways to arrange a one-shot step",
            about=__doc__ or "",
            tables=tables,
            settings=settings,
            numbers=numbers,
        )
    )


if __name__ == "__main__":
    main()
