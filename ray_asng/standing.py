"""Where a search stands after an epoch: what was measured, and where its distribution has come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray_asng.concentration import convergence, entropy, is_nearly_uniform

if TYPE_CHECKING:
    from ray_asng.search import Search
    from ray_asng.tally import Tally


def losses_and_scores(search: Search, train: Tally, valid: Tally, path_score: float) -> dict[str, Any]:
    """What was measured in the epoch just done, under the name of the task's metric."""
    metric = search.task.metric
    return {
        "epoch": search.epoch,
        "train_loss": train.loss,
        "valid_loss": valid.loss,
        f"train_{metric}": train.score,
        f"valid_{metric}": valid.score,
        f"path_{metric}": path_score,
    }


def standing(search: Search) -> dict[str, Any]:
    """Where the distribution stands, and what it has cost to get there; for the report of the epoch just done."""
    optimizer, space, architecture = search.optimizer, search.space, search.architecture
    probabilities = optimizer.probabilities
    return {
        "learning_rate": float(search.weight_optimizer.param_groups[0]["lr"]),
        "convergence": convergence(space, probabilities),
        "convergence_limit": optimizer.convergence_limit,
        "stable_epochs": _stable_epochs(search),
        "entropy": entropy(space, probabilities),
        "parameter_free_share": search.supernet.parameter_free_share(architecture),
        "architecture": architecture.to_json(),
        "probabilities": [[round(float(p), 6) for p in probabilities[name]] for name in space.names],
        "evaluations": search.evaluations,
        "steps": search.steps,
        "forward_passes": search.passes.forward,
        "backward_passes": search.passes.backward,
        **optimizer.metrics(),
    }


def _stable_epochs(search: Search) -> int:
    """Epochs since the most likely architecture last changed.

    0 during warm-up, and while the distribution is nearly uniform: what is likeliest then is an accident.
    """
    is_same = search.optimizer.most_likely().to_json() == search.report.get("architecture")
    # In the first epoch that learns there is nothing to compare with.
    is_learning = search.epoch > search.settings.warmup_epochs + 1
    if not (is_same and is_learning) or is_nearly_uniform(search.space, search.optimizer.probabilities):
        return 0
    return int(search.report["stable_epochs"]) + 1
