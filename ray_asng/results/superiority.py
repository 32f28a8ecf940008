"""Which methods differ by more than noise in the true accuracy of what they found: a table and a sentence for each."""

from __future__ import annotations

from collections.abc import Mapping

from ray_asng.results.document import Block, Bullets, Paragraph, Table
from ray_asng.results.inline import literal
from ray_asng.results.paired import PairedComparison, compare_paired, smallest_rank_p_value
from ray_asng.results.percent import p_text, points, points_range
from ray_asng.results.statistics import SIGNIFICANCE, finite_values

COMPARISON_READING = (
    "Differences: paired by seed, over the seeds that both methods finished; their intervals (Student's t) are not "
    "adjusted.",
    "p-values: two-sided, adjusted by Holm for all comparisons of a table.",
    "Paired t: decides the sentences below the table. It takes the mean difference as normal, and says little of a "
    "method whose runs go very wrong at times.",
    "Share of pairs: of all pairs of a run of one and a run of the other, ties half. The rank sum tests it against one "
    "half, exactly and without such an assumption.",
)
"""What the columns of the comparisons mean."""


def comparison_blocks(values: Mapping[str, Mapping[int, float]], reference: str) -> list[Block]:
    """Every method against the reference.

    Args:
        values: label -> seed -> true accuracy, from 0 to 1.
        reference: one of the labels.
    """
    comparisons = compare_paired(values, reference)
    if not comparisons:
        return [Paragraph("There is only one method, so there is nothing to compare.")]
    name = literal(reference)
    header = ("method", "seeds in common", f"difference to {name} [points]", "95 % interval")
    rows = tuple(_row(comparison) for comparison in comparisons)
    tests = ("p, paired t (Holm)", f"share of pairs ahead of {name}", "p, rank sum (Holm)")
    sentences = tuple(comparison_sentence(comparison, values) for comparison in comparisons)
    return [Table((*header, *tests), rows, _note(comparisons)), Bullets(sentences)]


def comparison_sentence(comparison: PairedComparison, values: Mapping[str, Mapping[int, float]]) -> str:
    """What one comparison says: the difference, its interval, and whether it is more than noise."""
    names = f"{literal(comparison.other)} against {literal(comparison.reference)}"
    if not comparison.seeds:
        return f"{names}: no seed in common, nothing to compare."
    count = len(comparison.seeds)
    seeds = f"{count} seed{'s' * (count > 1)} in common{_left_out(comparison, values)}"
    difference = f"{names}: {points(comparison.difference)} percentage points over {seeds}"
    if comparison.p_value is None:
        return f"{difference}. {_why_no_test(comparison)}"
    interval = f"95 % interval {points_range(comparison.low, comparison.high)}; p {_equals(comparison.p_value)}"
    if comparison.is_more_than_noise:
        verdict = f"{'better' if comparison.difference > 0 else 'worse'}, by more than noise explains"
    else:
        verdict = f"not more than noise explains{_separation(comparison)}"
    return f"{difference} ({interval}): {verdict}."


def _row(comparison: PairedComparison) -> tuple[str, ...]:
    return (
        literal(comparison.other),
        str(len(comparison.seeds)),
        points(comparison.difference),
        points_range(comparison.low, comparison.high),
        p_text(comparison.p_value),
        f"{100 * comparison.superiority:.0f} %" if min(comparison.counts) else "—",
        p_text(comparison.rank_p_value),
    )


def _note(comparisons: list[PairedComparison]) -> str:
    tested = [smallest_rank_p_value(entry.counts) for entry in comparisons if entry.rank_p_value is not None]
    if not tested:
        return "The rank sum needs two runs of each method."
    adjusted = min(1.0, len(tested) * min(tested))
    reach = "can" if adjusted < SIGNIFICANCE else "cannot"
    return (
        f"With so many runs the p-value of the rank sum is at least {p_text(min(tested))}, and {p_text(adjusted)} once "
        f"adjusted for {len(tested)} comparison{'s' * (len(tested) > 1)}: it {reach} reject at {SIGNIFICANCE:.2g} here."
    )


def _left_out(comparison: PairedComparison, values: Mapping[str, Mapping[int, float]]) -> str:
    """The seeds that only one of the two has."""
    either = {
        seed
        for label in (comparison.other, comparison.reference)
        for seed, value in values[label].items()
        if len(finite_values([value]))
    }
    alone = sorted(either.difference(comparison.seeds))
    if not alone:
        return ""
    return f" (only one of the two has seed{'s' * (len(alone) > 1)} {', '.join(map(str, alone))})"


def _why_no_test(comparison: PairedComparison) -> str:
    if len(comparison.seeds) < 2:
        return "Whether this is more than noise cannot be told from one pair."
    if comparison.rank_p_value is None:
        return "The difference is the same for every seed, which leaves the t test nothing to judge by."
    return (
        "The difference is the same for every seed, which leaves the t test nothing to judge by; "
        f"by the rank sum p {_equals(comparison.rank_p_value)}."
    )


def _separation(comparison: PairedComparison) -> str:
    """Said where the runs of two methods do not overlap, and yet the t test is in doubt."""
    if min(comparison.counts) < 2 or comparison.superiority not in (0.0, 1.0):
        return ""
    side = "above" if comparison.superiority else "below"
    return (
        f", though every run of {literal(comparison.other)} lies {side} every run of {literal(comparison.reference)} "
        f"(rank sum: p {_equals(comparison.rank_p_value)})"
    )


def _equals(p_value: float | None) -> str:
    text = p_text(p_value)
    return text if text.startswith("<") else f"= {text}"
