"""What papers report for NAS-Bench-201, beside what was found here.

Accuracies are in percent, mean and standard deviation over the runs of the paper, as repeated in the sources named:
later papers that quote the table, and the readme files of published code. Of some rows of the benchmark's own paper
two versions circulate; both are given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ray_asng.results.compared import dataset_name, datasets, first_reference, own_settings, truth_column
from ray_asng.results.document import Block, Heading, Table
from ray_asng.results.inline import literal
from ray_asng.results.percent import percent
from ray_asng.results.statistics import finite_values
from ray_asng.results.trials import Ground, Groups, search_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPACE = "nasbench201"

_DATASETS = ("cifar10", "cifar100", "imagenet16_120")


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Mean and standard deviation in percent; no deviation was given where it is None."""

    mean: float
    deviation: float | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """A row of the published table.

    Attributes:
        name: of the method, with the version of the row where there are two.
        method: the registered method that does the same; empty if there is none.
        test: on CIFAR-10, CIFAR-100 and ImageNet16-120; None where it was not given.
        source: where the numbers were read.
    """

    name: str
    method: str
    test: tuple[Accuracy | None, Accuracy | None, Accuracy | None]
    source: str


def _row(name: str, method: str, source: str, *test: tuple[float, ...] | None) -> Published:
    cifar10, cifar100, imagenet = (None if entry is None else Accuracy(*entry) for entry in test)
    return Published(name, method, (cifar10, cifar100, imagenet), source)


_RELIZO, _EEEA, _DRNAS, _RMI = "ReLIZO", "EEEA-Net", "DrNAS readme", "RMI-NAS readme"

PUBLISHED = (
    _row("ResNet, a cell of the space", "", "two papers", (93.97,), (70.86,), (43.63,)),
    _row("RSPS (version A)", "rsps", f"{_EEEA}, another paper", (87.66, 1.69), (46.60, 6.57), (30.78, 6.12)),
    _row("RSPS (version B)", "rsps", _RELIZO, (84.07, 3.61), (52.31, 5.77), (26.28, 3.09)),
    _row("DARTS, first order", "darts", "four papers", (54.30,), (15.61,), (16.32,)),
    _row("DARTS, second order (version A)", "darts_2nd", f"{_EEEA}, MathNAS, {_DRNAS}", (54.30,), (38.97,), (18.41,)),
    _row("DARTS, second order (version B)", "darts_2nd", f"{_RELIZO}, {_RMI}", (54.30,), (15.61,), (16.32,)),
    _row("ENAS (version A)", "enas", f"{_EEEA}, {_DRNAS}", (54.30,), (10.62, 0.27), (16.32,)),
    _row("ENAS (version B)", "enas", _RELIZO, (53.89, 0.58), (13.96, 2.33), (14.84, 2.10)),
    _row("GDAS (version A)", "gdas", _EEEA, (93.23, 0.23), (24.20, 8.08), (41.02,)),
    _row("GDAS (version B)", "gdas", f"{_RELIZO}, GENIUS, {_RMI}", (93.61, 0.09), (70.70, 0.30), (41.71, 0.98)),
    _row("SETN", "", f"{_RELIZO}, MathNAS", (87.64,), (59.05, 0.24), (32.52, 0.21)),
    _row("SNAS", "snas", f"{_DRNAS}, three papers", (92.77, 0.83), (69.34, 1.98), (43.16, 2.64)),
    _row("PC-DARTS", "pc_darts", f"{_DRNAS}, four papers", (93.41, 0.30), (67.48, 0.89), (41.31, 0.22)),
    _row("DSNAS", "", f"{_EEEA}, GENIUS", (93.08, 0.13), (31.01, 16.38), (41.07, 0.09)),
    _row("iDARTS", "", "GENIUS", (93.58, 0.32), (70.83, 0.48), (40.89, 0.68)),
    _row("DARTS-", "", "MathNAS, CoLLM-NAS", (93.80, 0.40), (71.53, 1.51), (45.12, 0.82)),
    _row("FairNAS", "fairnas", f"CoLLM-NAS, MathNAS, {_RMI}", (93.23, 0.18), (71.00, 1.46), (42.19, 0.31)),
    _row("DrNAS", "drnas", f"{_DRNAS}, GENIUS", (94.36,), (73.51,), (46.34,)),
    _row("GAEA DARTS, single level (ERM)", "gaea", "two papers that quote it", (94.10,), (73.43,), (46.36,)),
    _row("DARTS-PT (seed 1)", "darts_pt", "its authors, in an issue of its code", (88.21,), None, None),
    _row("DARTS-PT (seed 2)", "darts_pt", "its authors, in an issue of its code", (88.18,), None, None),
    _row("REINFORCE by the table (version A)", "", _EEEA, (93.85, 0.37), (70.17, 1.61), (43.16, 2.28)),
    _row("REINFORCE by the table (version B)", "", _RMI, (93.85, 0.37), (71.71, 1.09), (45.24, 1.18)),
    _row("random search by the table", "", "a review that quotes it", (93.70, 0.36), None, None),
    _row("NASWOT, 1000 cells", "", "one paper", (92.96, 0.81), (69.98, 1.22), (44.44, 2.10)),
    _row("NASWOT, 10 cells", "", "one paper", (92.44, 1.13), (68.62, 2.04), (41.31, 4.11)),
)

OPTIMUM = _row("optimum of the table", "", f"{_EEEA}, another paper, {_DRNAS}", (94.37,), (73.51,), (47.31,))

_NOTE = (
    "Test accuracies in percent, mean ± standard deviation: published ones over the runs of each paper (often three, "
    "sometimes one), those from here over seeds. Published protocol: search on CIFAR-10 alone, with the network of 16 "
    "channels and 5 cells a stage on images of 32 x 32; the cell that was found is looked up on all three data sets, "
    "trained by itself for 200 epochs. Here it is looked up in the same way, but the supernet, the images and the "
    "length of the search are those of this study, often far smaller, and the data set of the search is that of its "
    "task. Also, not all papers used batch statistics in batch norm, which matters much. The row of GAEA is of the "
    "variant that moves by the training loss, here an option. REINFORCE and random search by the table train no shared "
    "weights, they look up validation accuracies; so no method of here stands beside them. Of some rows two versions "
    "circulate. No published result of ASNG on this benchmark is known."
)


def section(ground: Ground, save: Callable[[str, Figure], str]) -> list[Block]:
    """Published and own accuracies of a NAS-Bench-201 ground; empty elsewhere, and without a table.

    `save` is not used: there is no figure.
    """
    groups = own_settings(ground)
    is_of_space = any(trial.last("space") == SPACE for trials in groups.values() for trial in trials)
    if not is_of_space or not set(datasets(ground)) & set(_DATASETS):
        return []
    header = ("method", "from", *(f"{dataset_name(dataset)} [%]" for dataset in _DATASETS), "source")
    methods = dict.fromkeys(trials[0].last("method") for trials in groups.values())
    rows = [row for method in methods for row in (*_published(method), *_own(groups, method))]
    rows += [_cells(row) for row in PUBLISHED if row.method not in methods]
    best = [first_reference(groups, truth_column(dataset)) for dataset in _DATASETS]
    optimum = tuple("—" if each is None else percent(each.best) for each in best)
    rows += [_cells(OPTIMUM), (OPTIMUM.name, "here", *optimum, "the table")]
    return [Heading("Beside published numbers", 3), Table(header, tuple(rows), _NOTE)]


def _published(method: str) -> list[tuple[str, ...]]:
    return [_cells(row) for row in PUBLISHED if row.method == method]


def _own(groups: Groups, method: str) -> list[tuple[str, ...]]:
    """A row for each label of a method."""
    rows = []
    for label, trials in groups.items():
        if trials[0].last("method") == method:
            values = [list(search_values(trials, truth_column(dataset)).values()) for dataset in _DATASETS]
            count = max(len(finite_values(each)) for each in values)
            source = f"{count} seed{'s' * (count != 1)}"
            rows.append((literal(label), "here", *(_text(_accuracy(each)) for each in values), source))
    return rows


def _cells(row: Published) -> tuple[str, ...]:
    return (row.name, "published", *(_text(accuracy) for accuracy in row.test), row.source)


def _accuracy(values: Sequence[float]) -> Accuracy | None:
    """Mean and sample deviation, in percent, of (n,) values from 0 to 1; None without a finite one."""
    finite = 100.0 * finite_values(values)
    if not len(finite):
        return None
    return Accuracy(float(finite.mean()), float(finite.std(ddof=1)) if len(finite) > 1 else None)


def _text(accuracy: Accuracy | None) -> str:
    if accuracy is None:
        return "—"
    return f"{accuracy.mean:.2f}" + ("" if accuracy.deviation is None else f" ± {accuracy.deviation:.2f}")
