"""A bound on a cost: how much weight holds a step below it, and which architecture answers a search that has one.

The weight is the multiplier of a constraint, found anew for every step: 0 while the step ends below the budget
anyway, then as much as it takes to end there. So it grows without a jump as the budget comes near, does not overshoot
to lower costs, and the rest of the step follows the losses along the bound. Where no weight would do, because the
budget is more than a step away, it is infinite: straight to lower costs, on the way that commits the distribution to
as little else as possible.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ray_asng.optimizers.distribution import Direction
from ray_asng.space import Architecture

_STRONGEST = 2.0**60
_HALVINGS = 20


def weight_to_stay(direction: Direction, rise: Direction, slack: float, step: float) -> float:
    """The least weight w >= 0 with which a step along `direction` - w `rise` adds at most `slack` to the cost.

    Args:
        direction: natural gradient of the utility.
        rise: natural gradient of the expected cost; its Fisher length is what the cost rises by in a step of length 1
            along it.
        slack: what is left of the budget, negative above it; in the unit of the cost that `rise` is of.
        step: Fisher length of the step.

    Returns:
        Infinity where even a step straight against `rise` ends above the budget.
    """
    # The cosine that the angle between the step and `rise` may have.
    allowed = slack / (step * rise.length)
    if allowed >= 1.0:
        return 0.0
    if allowed <= -1.0:
        return math.inf
    cosine = float(direction.whitened.dot(rise.whitened))
    sine = math.sqrt(max(1.0 - cosine**2, 0.0))
    along = sine * allowed / math.sqrt(1.0 - allowed**2)
    return max(0.0, direction.length * (cosine - along) / rise.length)


def within(
    budget: float, tilted: Callable[[float], Architecture], price: Callable[[Architecture], float]
) -> Architecture:
    """The architecture of the least tilt towards low costs that is within the budget.

    Args:
        budget: in the unit of `price`.
        tilted: the most likely architecture once every probability has been multiplied by exp(-tilt cost).
        price: what an architecture costs.

    Raises:
        ValueError: the cheapest one that tilting leads to is above the budget.
    """
    prices: dict[Architecture, float] = {}

    def fits(architecture: Architecture) -> bool:
        if architecture not in prices:
            prices[architecture] = price(architecture)
        return prices[architecture] <= budget

    found = tilted(0.0)
    if fits(found):
        return found
    low, high = 0.0, 1.0
    while not fits(found := tilted(high)):
        if high >= _STRONGEST:
            raise ValueError(
                f"budget={budget:g} is below {prices[found]:g}, the cost of the cheapest architecture, "
                f"{dict(found)!r}; allow at least that"
            )
        low, high = high, 2.0 * high
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        architecture = tilted(middle)
        if fits(architecture):
            high, found = middle, architecture
        else:
            low = middle
    return found
