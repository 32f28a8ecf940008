"""Conformance checks that an author runs on his own supernet, task, method or search, with pytest or without.

Each takes builders rather than objects, since it needs fresh ones. A failure is an `AssertionError` that says what
was checked, what was expected, what came and what to mend. Nothing is seeded globally.
"""

from ray_asng.testing.optimizer import check_optimizer
from ray_asng.testing.search import check_search
from ray_asng.testing.space import check_space
from ray_asng.testing.supernet import check_supernet
from ray_asng.testing.task import check_task

__all__ = ["check_optimizer", "check_search", "check_space", "check_supernet", "check_task"]
