"""The selective squared error: categories that say which squares count.

Dimension letters: N samples, D categorical decisions, K options of each.

References:
    Akimoto et al., "Adaptive Stochastic Natural Gradient Method for One-Shot Neural Architecture Search", ICML 2019,
    the toy problem. Here without its noise z, which `Noisy` may add; with it, and with x as shared weights that are
    trained by gradients, it is `ray_asng.supernets.toy`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ray_asng.space import Architecture, Categorical, Decision, Floats, Ints, Real, SearchSpace
from ray_asng.tabular.formula import Formula, check_sizes


@dataclass(frozen=True)
class SelectiveSquaredError(Formula):
    """sum over d of k_d / K + x_dk², where k_d is the option of decision d; only the chosen x_dk count.

    The optimum has the first option everywhere and lies in the centre of all ranges, as in the paper. Put it into
    `Shifted` for a comparison in which no method may profit from that. The paper counts a loss up to 1 / K as solved.

    Attributes:
        length: number of categorical decisions [D], `c0`, `c1`, ...
        options: of each [K]; decision d comes with as many reals `x{d}_0`, `x{d}_1`, ... from -3 to 3.

    Raises:
        ValueError: no decision, or fewer than two options.
    """

    length: int = 30
    options: int = 5

    def __post_init__(self) -> None:
        check_sizes(1, length=self.length)
        check_sizes(2, options=self.options)

    @cached_property
    def space(self) -> SearchSpace:
        """D categorical decisions, then D * K reals."""
        names = [str(option) for option in range(self.options)]
        decisions: list[Decision] = [Categorical(f"c{place}", names) for place in range(self.length)]
        decisions += [Real(f"x{place}_{option}", -3.0, 3.0) for place in range(self.length) for option in names]
        return SearchSpace(decisions)

    @cached_property
    def optimum(self) -> Architecture:
        """The first option and 0 everywhere; the x_dk of other options may be anything."""
        return self.space.decode(np.zeros(self.length, dtype=np.int64), np.zeros(self.length * self.options))

    def formula(self, options: Ints, coordinates: Floats) -> float:
        """See the class; `coordinates` are (D * K,) values x_dk, decision after decision."""
        return float(self.losses(options[None], coordinates.reshape(self.length, self.options))[0])

    def losses(self, options: Ints, x: Floats) -> Floats:
        """(N,) losses of (N, D) option indices that share one (D, K) x."""
        chosen = np.take(x, self._places(options))
        losses: Floats = (options / self.options + chosen**2).sum(axis=1)
        return losses

    def gradient(self, options: Ints, x: Floats) -> Floats:
        """(D, K) gradient by x of the mean of `losses`; 0 where no sample chose."""
        slopes = np.zeros(x.size)
        for places in self._places(options):
            slopes[places] += 2.0 / len(options) * np.take(x, places)
        return slopes.reshape(x.shape)

    def _places(self, options: Ints) -> Ints:
        """(N, D) where the chosen x_dk lie in x made flat."""
        return self._rows + options

    @cached_property
    def _rows(self) -> Ints:
        return np.arange(self.length) * self.options
