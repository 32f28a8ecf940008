"""What a table says of a search: the truth about the architecture of every epoch, and about the inherited weights.

All of this is for the report. Nothing of it goes back into the search.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ray_asng.config import SearchConfig
from ray_asng.search import Search
from ray_asng.tabular.base import Table

_RANKING_EXAMPLES = 1024


class TableColumns:
    """The columns that a table adds to the reports of a search.

    Args:
        table: holds the architectures of the search's space.
        search: whose reports they are.
        config: of the search.

    Attributes:
        constant: what is the same in all reports.

    Raises:
        ValueError: the table does not hold the architectures of the space.
    """

    def __init__(self, table: Table, search: Search, config: SearchConfig) -> None:
        self.table = table
        reference = table.reference(search.space)
        self.constant = {"table_reference": json.dumps({f"table_{name}": row for name, row in reference.items()})}
        # The same for all methods and seeds of a study, since these have the split in common.
        rng = np.random.default_rng(config.split_seed)
        self._ranked = [search.space.sample(rng) for _ in range(config.ranked_cells)]

    def of_epoch(self, search: Search) -> dict[str, Any]:
        """The values of the present architecture; after the last epoch also how inherited losses rank others."""
        values = {f"table_{name}": value for name, value in self.table.look_up(search.architecture).items()}
        return {**values, "inherited": json.dumps(self._inherited(search)) if search.is_done and self._ranked else ""}

    def _inherited(self, search: Search) -> list[list[float]]:
        """(inherited validation loss, truth) of the random architectures."""
        return [
            [search.evaluate(each, examples=_RANKING_EXAMPLES)[0], self.table.look_up(each)[self.table.truth]]
            for each in self._ranked
        ]
