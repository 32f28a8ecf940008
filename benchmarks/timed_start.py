"""The parts of a search's start in a fresh process, timed one after the other.

As a program, `timed_start.py TASK [DATA_DIR]` is one such process: it prints seconds by part as JSON.
"""

from __future__ import annotations

import json
import sys
import time

# Whatever else is imported, is so by the part that is timed.


class Laps:
    """Seconds between calls, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def __call__(self, name: str) -> None:
        """The part that has just ended is called `name`."""
        now = time.perf_counter()
        self.seconds[name] = now - self._since
        self._since = now


def start(task: str, data_dir: str | None) -> dict[str, float]:
    """Seconds by part up to the end of the first step of a one-thread search, and then of what a trial imports more."""
    lap = Laps()
    import torch

    torch.set_num_threads(1)
    lap("import of torch")

    from ray_asng.config import SearchConfig
    from ray_asng.tally import Tally

    config = SearchConfig.from_mapping({"task": task, "space": "nasbench201", "seed": 0, "data_dir": data_dir})
    lap("our code, config")

    data = config.build_task()
    lap("data")

    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
    lap("first use of torch.optim")

    search = config.build_search(task=data)
    lap("network, search")

    search._steps.weight_step(Tally())
    search._steps.architecture_step(Tally(), learn=True)
    lap("first step")

    import ray_asng.raytune.trainable  # noqa: F401

    lap("(in a trial: import of Ray)")
    return lap.seconds


if __name__ == "__main__":
    sys.stdout.write(json.dumps(start(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)))
