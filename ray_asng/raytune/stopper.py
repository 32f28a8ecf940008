"""When a search may end before its last epoch: it has converged, or it has collapsed."""

from __future__ import annotations

from typing import Any

from ray import tune

from ray_asng.settings import check_number, check_whole


class SearchStopper(tune.Stopper):
    """Ends searches that have nothing left to decide; give it to Tune as `stop`.

    A search ends when its most likely architecture has stayed the same for `patience` epochs (warm-up, and epochs with
    nearly uniform probabilities, do not count), and

    - it has *collapsed*: nearly all decisions that have an option with weights are for one without (skip connections,
      pooling, nothing), as DARTS is known for; or
    - it has *converged*: its probabilities are close to the most certain that the method allows.

    The rule looks at one report alone, so it decides the same in an experiment that was interrupted. It asks the
    same of every method; one that learns no distribution, such as random search, is never ended by it. The last
    report of an ended search says why in `ended`, and results count it as finished. Its architecture is the most
    likely one: what a method does in `finalize` is left out.

    Args:
        patience: epochs without a change of the most likely architecture.
        convergence: share of `convergence_limit`, the largest mean probability that the method's bounds allow,
            that the convergence must reach. Mixing methods stay undecided for long: give DARTS half of this.
        collapse: share of such decisions (`parameter_free_share`). None leaves collapsed searches alone.

    Raises:
        ValueError: a setting out of range.

    References:
        Liang et al., "DARTS+: Improved Differentiable Architecture Search with Early Stopping", 2019: a ranking that
        stood still for ten epochs, or too many skip connections.

    Example:
        >>> tune.run(SearchTrainable, config={"seed": tune.grid_search([0, 1])}, stop=SearchStopper(patience=5))
    """

    def __init__(self, patience: int = 10, convergence: float = 0.9, collapse: float | None = 0.9) -> None:
        check_whole("patience", patience, 1)
        for name, share in (("convergence", convergence), ("collapse", 1.0 if collapse is None else collapse)):
            check_number(name, share, above=0.0)
            if share > 1.0:
                raise ValueError(f"{name} is a share and must be at most 1, got {share!r}")
        self.patience = patience
        self.convergence = convergence
        self.collapse = collapse

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the trial ends with this report, which then says why."""
        if result.get("kind") != "search" or result["ended"]:
            return False
        reason = self._reason(result)
        # Tune hands this very dict on to its loggers.
        result["ended"] = reason
        return bool(reason)

    def _reason(self, result: dict[str, Any]) -> str:
        if result["stable_epochs"] < self.patience:
            return ""
        if self.collapse is not None and result["parameter_free_share"] >= self.collapse:
            return "collapsed"
        if result["convergence"] >= self.convergence * result["convergence_limit"]:
            return "converged"
        return ""

    def stop_all(self) -> bool:
        """Never: the searches end one by one."""
        return False
