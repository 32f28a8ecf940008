"""Whether inherited weights rank architectures as training by themselves does: correlations, and a panel a method.

After its last epoch a search reports, for the same random architectures in every trial, the validation loss with its
shared weights and the true accuracy. A search that moves by such losses can be no better than this ranking.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from ray_asng.results.compared import Reference, datasets, first_reference, own_settings, truth_column
from ray_asng.results.document import Block, Heading, Picture, Table
from ray_asng.results.inline import literal
from ray_asng.results.percent import correlation, correlation_range, percent
from ray_asng.results.statistics import Floats, bootstrap_interval
from ray_asng.results.style import FAINT, INK, file_part, headline, method_colours, panel_title, plain_axes
from ray_asng.results.trials import Ground, Trial, counted
from ray_asng.results.truth_axis import stretch_to_optimum

TOP = 0.2
"""Share of the architectures, by their truth, among which the ranking is looked at once more."""

_LEAST = 3
_COLUMNS = 4
# Of a panel, in inches.
_PANEL_WIDTH = 3.3


@dataclass(frozen=True, slots=True)
class Ranking:
    """How the inherited losses of one search rank architectures; NaN where fewer than three or no spread are there.

    Attributes:
        spearman, kendall: with the truth; 1 if the lowest loss has the highest accuracy, and so on down.
        top: Spearman's among the best fifth by truth.
        picked: true accuracy of the architecture with the lowest inherited loss.
    """

    spearman: float
    kendall: float
    top: float
    picked: float


def section(ground: Ground, save: Callable[[str, Figure], str]) -> list[Block]:
    """The rank correlations of a ground and their figure; empty where no search ranked architectures."""
    pairs = _pairs_of_methods(ground)
    if not pairs:
        return []
    rows = tuple(_row(label, list(found.values())) for label, found in pairs.items())
    header = ("method", "seeds", "Spearman", "95 % interval", "Kendall", "Spearman, best fifth", "first by loss [%]")
    path = save(f"rank_correlation_{file_part(ground.space)}_{file_part(ground.task)}", scatter(ground))
    caption = f"Inherited validation loss and true accuracy of random architectures; {ground.name}"
    heading = Heading("How inherited weights rank architectures", 3)
    return [heading, Table(header, rows, _note(pairs)), Picture(path, caption)]


def inherited_pairs(trial: Trial) -> Floats:
    """(M, 2) inherited loss and true accuracy of the ranked architectures; none where nothing was ranked.

    A loss that is no finite number ranks last. Architectures without a truth are left out.
    """
    pairs = np.array(json.loads(trial.last("inherited") or "[]"), dtype=np.float64).reshape(-1, 2)
    pairs[:, 0] = np.where(np.isfinite(pairs[:, 0]), pairs[:, 0], np.inf)
    return pairs[np.isfinite(pairs[:, 1])]


def ranking(pairs: Floats) -> Ranking:
    """Correlations of (M, 2) inherited losses and true accuracies."""
    losses, truths = pairs.T
    best = pairs[truths >= np.quantile(truths, 1.0 - TOP)] if len(pairs) else pairs
    return Ranking(
        spearman=_spearman(pairs),
        kendall=float(stats.kendalltau(-losses, truths).statistic) if _has_spread(pairs) else math.nan,
        top=_spearman(best),
        # Of several with the lowest loss, the mean.
        picked=float(truths[losses == losses.min()].mean()) if len(pairs) else math.nan,
    )


def scatter(ground: Ground) -> Figure:
    """A panel for each method: true accuracy against the rank by inherited loss, of the seed in the middle."""
    pairs = _pairs_of_methods(ground)
    colours = method_colours(ground.labels)
    rows = math.ceil(len(pairs) / _COLUMNS)
    columns = min(len(pairs), _COLUMNS)
    figure = Figure(figsize=(max(_PANEL_WIDTH * columns, 6.5), 3.0 * rows + 0.9), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    for index, (label, found) in enumerate(pairs.items()):
        seed, middle = _middle(found)
        _draw(grid[index], label, seed, middle, colours[label])
        if index % columns == 0:
            grid[index].set_ylabel("true accuracy [%]", fontsize=9, color=INK)
    for axes in grid[len(pairs) :]:
        axes.axis("off")
    reference = _reference(ground)
    lowest = min(float(each[:, 1].min()) for found in pairs.values() for each in found.values())
    stretch_to_optimum(grid[0], reference, 100.0 * lowest)
    note = "Of each method the seed with the middle correlation. Coloured: the best fifth by true accuracy."
    headline(figure, f"How inherited weights rank architectures: {ground.name}", note)
    return figure


def _pairs_of_methods(ground: Ground) -> dict[str, dict[int, Floats]]:
    """Label -> seed -> (M, 2) pairs, of the counted searches that ranked."""
    found: dict[str, dict[int, Floats]] = {}
    for label, trials in own_settings(ground).items():
        pairs = {int(trial.last("seed") or 0): inherited_pairs(trial) for trial in counted(trials)}
        kept = {seed: each for seed, each in pairs.items() if len(each)}
        if kept:
            found[label] = kept
    return found


def _reference(ground: Ground) -> Reference | None:
    """What the table has in the column that the inherited losses are compared with."""
    found = datasets(ground)
    return first_reference(own_settings(ground), truth_column(found[0], "valid")) if found else None


def _row(label: str, pairs: Sequence[Floats]) -> tuple[str, ...]:
    rankings = [ranking(each) for each in pairs]
    estimates = {
        field.name: bootstrap_interval([getattr(each, field.name) for each in rankings]) for field in fields(Ranking)
    }
    spearman = estimates["spearman"]
    return (
        literal(label),
        str(spearman.count),
        correlation(spearman.mean),
        correlation_range(spearman.low, spearman.high),
        correlation(estimates["kendall"].mean),
        correlation(estimates["top"].mean),
        percent(estimates["picked"].mean),
    )


def _note(pairs: Mapping[str, Mapping[int, Floats]]) -> str:
    counts = sorted({len(each) for found in pairs.values() for each in found.values()})
    number = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    means = [each[:, 1].mean() for found in pairs.values() for each in found.values()]
    return (
        f"Over {number} random architectures after the last epoch; means over seeds, interval by the bootstrap. "
        f"Correlations are with the true validation accuracy: +1 if the lowest loss is of the best, 0 if the ranking "
        f"says nothing. Best fifth: among the architectures that are truly best, where a search must decide at last. "
        f"First by loss: true validation accuracy of the architecture with the lowest loss (the mean of all is "
        f"{percent(float(np.mean(means)))})."
    )


def _draw(axes: Axes, label: str, seed: int, pairs: Floats, colour: str) -> None:
    ranks = stats.rankdata(pairs[:, 0])
    truths = 100.0 * pairs[:, 1]
    is_top = truths >= np.quantile(truths, 1.0 - TOP)
    plain_axes(axes, panel_title(f"{label}, seed {seed}", _PANEL_WIDTH), "rank by inherited loss")
    axes.scatter(ranks[~is_top], truths[~is_top], s=9, color=FAINT, alpha=0.5, linewidths=0)
    axes.scatter(ranks[is_top], truths[is_top], s=11, color=colour, alpha=0.85, linewidths=0)
    axes.label_outer()
    text = f"Spearman {correlation(_spearman(pairs))}\nbest fifth {correlation(_spearman(pairs[is_top]))}"
    axes.text(0.03, 0.04, text, transform=axes.transAxes, fontsize=8, color=INK, va="bottom")


def _middle(found: Mapping[int, Floats]) -> tuple[int, Floats]:
    """Seed and pairs of the search whose correlation is the median, the lower one of two."""
    ordered = sorted(found, key=lambda seed: np.nan_to_num(_spearman(found[seed]), nan=-2.0))
    seed = ordered[(len(ordered) - 1) // 2]
    return seed, found[seed]


def _spearman(pairs: Floats) -> float:
    return float(stats.spearmanr(-pairs[:, 0], pairs[:, 1]).statistic) if _has_spread(pairs) else math.nan


def _has_spread(pairs: Floats) -> bool:
    return len(pairs) >= _LEAST and len(np.unique(pairs[:, 0])) > 1 and len(np.unique(pairs[:, 1])) > 1
