"""Conformance of a whole search: what it reports, and that it can be stopped after any epoch and go on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ray_asng.config import SearchConfig
from ray_asng.search import Search
from ray_asng.tasks.base import Task
from ray_asng.testing.equality import difference
from ray_asng.testing.failure import fail, no_error
from ray_asng.testing.global_state import global_randomness_untouched
from ray_asng.testing.state_file import through_file

# What differs between equal runs: times, rates and memory.
_MEASURED = ("samples_per_second", "wall_seconds", "device_seconds", "peak_memory_bytes")


def check_search(config: Mapping[str, Any], *, objects: Mapping[str, Any] | None = None, epochs: int = 2) -> None:
    """Run a search several times: reports, equal seeds, other seeds, and a stop after each epoch.

    Args:
        config: keys of `SearchConfig` and `SearchSettings`, as for a Trainable; short epochs (`steps_per_epoch`)
            keep the check short. The seed is 0 unless given.
        objects: modules and tasks, which do not belong into a config.
        epochs: of each search; goes over that of the config.

    Raises:
        AssertionError: says what was checked, expected and found, and what to mend.
        ValueError, TypeError: a config that cannot be used.

    Example:
        >>> check_search({"method": MyMethod, "steps_per_epoch": 2, "space_options": {"width": 4, "cells": 1}})
    """
    resolved = {"seed": 0, **config, "epochs": epochs}
    task = SearchConfig.from_mapping(resolved, objects).build_task()

    def start(seed: int) -> Search:
        return _started({**resolved, "seed": seed}, objects, task)

    seed = int(resolved["seed"])
    undisturbed, again = start(seed), start(seed)
    reports, states = [], []
    for _ in range(epochs):
        reports.append(_epoch(undisturbed))
        _check_report(reports)
        states.append(through_file(undisturbed.state_dict(), "the state of the search"))
    where = difference(reports, [_epoch(again) for _ in range(epochs)], "reports")
    if where:
        fail(
            "two searches with one seed",
            expected="equal reports but for times and memory",
            got=where,
            mend="draw everything in method, space and task from the generators that come from the seed",
        )
    _check_resume(start, reports, states, seed)
    other = start(seed + 1)
    if not difference(reports, [_epoch(other) for _ in range(epochs)]):
        fail(
            "two searches with different seeds",
            expected="different reports",
            got="equal ones",
            mend="use the seed that the builders are given",
        )


def _started(config: Mapping[str, Any], objects: Mapping[str, Any] | None, task: Task) -> Search:
    with global_randomness_untouched("building the search"):
        return SearchConfig.from_mapping(config, objects).build_search(task=task)


def _epoch(search: Search) -> dict[str, Any]:
    """The report of an epoch, without what differs between equal runs."""
    checked = f"epoch {search.epoch + 1} of the search"
    with (
        no_error(checked, mend="run check_supernet, check_task and check_optimizer on the parts: they say more"),
        global_randomness_untouched(checked),
    ):
        report = search.run_epoch()
    return {key: value for key, value in report.items() if key not in _MEASURED}


def _check_report(reports: list[dict[str, Any]]) -> None:
    """The last of the reports so far."""
    report, checked = reports[-1], f"the report of epoch {len(reports)}"
    if list(report) != list(reports[0]):
        fail(
            checked,
            expected=f"the keys of the first: {list(reports[0])}",
            got=list(report),
            mend="let `metrics` of the method return the same keys at every call",
        )
    wrong = {key: value for key, value in report.items() if not _is_plain(value)}
    if wrong:
        fail(
            checked,
            expected="plain finite numbers, strings, bools, and lists of them",
            got=wrong,
            mend="convert with float(...) or int(...), and replace what is not finite by a number that says so",
        )


def _is_plain(value: Any) -> bool:
    if type(value) is list:
        return all(map(_is_plain, value))
    return type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value))


def _check_resume(start: Any, reports: list[dict[str, Any]], states: list[dict[str, Any]], seed: int) -> None:
    """After each epoch: a fresh search takes the state from the file and goes on as the undisturbed one did."""
    for done, state in enumerate(states, start=1):
        checked = f"a search that was stopped after epoch {done} of {len(reports)} and resumed from a file"
        resumed = start(seed)
        with no_error(checked, mend="let load_state_dict of the method and the module take what state_dict returned"):
            resumed.load_state_dict(state)
        rest = [_epoch(resumed) for _ in reports[done:]]
        where = difference(reports[done:], rest, "reports") or difference(
            _comparable(states[-1]), _comparable(resumed.state_dict()), "state"
        )
        if where:
            fail(
                checked,
                expected="the reports, weights and state of an undisturbed search, bit for bit",
                got=where,
                mend="keep everything that the future depends on (generators, counters, moments, running statistics) "
                "in state_dict; check_optimizer and check_supernet find what is missing",
            )


def _comparable(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state without times and memory."""
    return {
        key: {k: v for k, v in value.items() if k not in _MEASURED} if key == "report" else value
        for key, value in state.items()
        if key not in _MEASURED
    }
