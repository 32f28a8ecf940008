"""How far a distribution over architectures has concentrated on one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ray_asng.space import Floats, Real, SearchSpace

_NEARLY = 0.99


def convergence(space: SearchSpace, probabilities: Mapping[str, Floats]) -> float:
    """Mean over the decisions that have a choice of their largest probability; 1 when all is decided.

    Real decisions, which have a density, do not count; 1 if there is no other.
    """
    rows = _rows(space, probabilities)
    return float(np.mean([row.max() for row in rows])) if rows else 1.0


def entropy(space: SearchSpace, probabilities: Mapping[str, Floats]) -> float:
    """Mean over the same decisions of their Shannon entropy, in nats; 0 when all is decided."""
    rows = _rows(space, probabilities)
    return float(np.mean([-(row[row > 0.0] * np.log(row[row > 0.0])).sum() for row in rows])) if rows else 0.0


def is_nearly_uniform(space: SearchSpace, probabilities: Mapping[str, Floats]) -> bool:
    """Whether the entropy is within one percent of the largest that there can be."""
    largest = [np.log(len(row)) for row in _rows(space, probabilities)]
    return bool(largest) and entropy(space, probabilities) > _NEARLY * float(np.mean(largest))


def _rows(space: SearchSpace, probabilities: Mapping[str, Floats]) -> list[Floats]:
    discrete = [decision.name for decision in space.decisions if not isinstance(decision, Real)]
    return [probabilities[name] for name in discrete if len(probabilities[name]) > 1]
