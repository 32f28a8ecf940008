"""Made-up searches with the columns of a table, as `Ground`s, for the tests of what is said about true accuracies."""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from ray_asng.results.trials import Ground, Trial

DATASETS = ("cifar10", "cifar100", "imagenet16_120")
BEST = {"cifar10": 0.9437, "cifar100": 0.7351, "imagenet16_120": 0.4731}
REFERENCE = {
    f"table_{dataset}_test_accuracy": {
        "best": best,
        "best_by_valid": best - 0.002,
        "random_mean": best - 0.07,
        "random_quantiles": np.linspace(0.1, best, 101).tolist(),
    }
    for dataset, best in BEST.items()
}


def search(
    method: str,
    seed: int,
    truths: Sequence[float],
    *,
    paths: Sequence[float] | None = None,
    epochs: int | None = None,
    **last: object,
) -> Trial:
    """A search whose architecture after each epoch has these true accuracies on CIFAR-10; `last` is set in all rows."""
    return Trial(
        tuple(
            {
                **_costs(epoch),
                **{f"table_{name}_test_accuracy": truth * BEST[name] / BEST["cifar10"] for name in DATASETS},
                "kind": "search",
                "method": method,
                "label": "",
                "setting": "",
                "space": "nasbench201",
                "seed": seed,
                "iteration": epoch,
                "epoch": epoch,
                "epochs": epochs or len(truths),
                "ended": "finished" if epoch == (epochs or len(truths)) else "",
                "path_accuracy": truth if paths is None else paths[epoch - 1],
                "parameter_free_share": 0.0,
                "device": "cpu",
                "table_reference": json.dumps(REFERENCE),
                "inherited": "",
                "config_json": "{}",
                **last,
            }
            for epoch, truth in enumerate(truths, start=1)
        )
    )


def ground_of(searches: Mapping[str, Sequence[Trial]]) -> Ground:
    """Searches of NAS-Bench-201 on CIFAR-10."""
    return Ground("nasbench201", "cifar10", "accuracy", True, {name: list(runs) for name, runs in searches.items()}, {})


def of_final(truths: Mapping[str, Mapping[int, float]]) -> Ground:
    """Searches of one epoch: method -> seed -> true accuracy on CIFAR-10."""
    return ground_of(
        {method: [search(method, seed, [value]) for seed, value in found.items()] for method, found in truths.items()}
    )


class Figures(dict):
    """What a section gave to be saved: name -> figure."""

    def save(self, name, figure):
        self[name] = figure
        return f"figures/{name}.png"


def table_with(blocks, header):
    """The only table with a column of that name, as rows: first cell -> column -> cell."""
    (table,) = [block for block in blocks if header in getattr(block, "header", ())]
    return {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}


def texts(blocks):
    """All words of the blocks in one text."""
    words = []
    for block in blocks:
        words += [getattr(block, name) for name in ("text", "note", "caption") if hasattr(block, name)]
        words += list(getattr(block, "items", ()))
        words += [cell for row in getattr(block, "rows", ()) for cell in row]
    return "\n".join(words)


def _costs(epoch: int) -> dict[str, float]:
    return {
        "steps": 100 * epoch,
        "forward_passes": 300.0 * epoch,
        "backward_passes": 100.0 * epoch,
        "wall_seconds": 10.0 * epoch,
    }
