"""Reports kept in checkpoints: whose they are, what of them is taken over, and that they never stop a trial."""

import json
import math

import numpy as np
import pytest
from ray.tune.utils.util import SafeFallbackEncoder

from ray_asng import SearchTrainable
from ray_asng.checkpoints import REPORTS_FILE, read_reports
from ray_asng.raytune.report_log import ReportLog
from ray_asng.raytune.retrain_trainable import RetrainTrainable

SMALL = {"space_options": {"width": 4, "cells": 1}, "steps_per_epoch": 1, "batch_size": 8, "epochs": 4, "seed": 0}
EDGES = [f"edge_{source}_{target}" for target in (1, 2, 3) for source in range(target)]
RETRAINING = {
    "search": {**SMALL, "task_options": {}},
    "found": {"architecture": dict.fromkeys(EDGES, "skip_connect")},
    "seed": 0,
    "epochs": 3,
    "batch_size": 512,
}


def result(iteration, trial="one", **values):
    return {"training_iteration": iteration, "trial_id": trial, "config": {"seed": 0}, **values}


def log_of(*results):
    log = ReportLog()
    for each in results:
        log.add(each)
    return log


def iterations(folder):
    return [report["training_iteration"] for report in read_reports(folder)]


def saved(log, folder):
    log.save(folder)
    return iterations(folder)


def test_what_is_saved_is_what_tune_writes_but_its_bulk(tmp_path):
    report = result(1, loss=math.nan, number=np.float32(0.5), none=np.float32("nan"), words="x", table=[[0.25, 1]])
    log_of(report).save(tmp_path)
    (kept,) = read_reports(tmp_path)
    written = json.loads(json.dumps(report, cls=SafeFallbackEncoder))
    del written["config"]
    assert repr(kept) == repr(written)  # NaN is not equal to itself
    assert [path.name for path in tmp_path.iterdir()] == [REPORTS_FILE]


def test_the_last_report_of_an_iteration_counts(tmp_path):
    log_of(result(2, loss=1.0), result(1, loss=2.0), result(2, loss=3.0)).save(tmp_path)
    assert [report["loss"] for report in read_reports(tmp_path)] == [2.0, 3.0]


def test_iterations_after_the_checkpoint_are_forgotten(tmp_path):
    log_of(result(1), result(2), result(3)).save(tmp_path)
    log = ReportLog()
    log.load(tmp_path, "one", 2)
    assert saved(log, tmp_path) == [1, 2]


def test_a_trial_keeps_its_own_reports_when_it_takes_over_anothers_checkpoint(tmp_path):
    log_of(result(1, loss=5.0), result(2, loss=5.0)).save(tmp_path)
    log = log_of(result(1, "other", loss=7.0), result(2, "other"), result(3, "other"))
    log.load(tmp_path, "other", 2)
    assert saved(log, tmp_path) == [1, 2]
    assert {report["trial_id"] for report in read_reports(tmp_path)} == {"other"}


def test_a_checkpoint_without_reports_counts_as_one_with_none(tmp_path, caplog):
    log = ReportLog()
    log.load(tmp_path, "one", 4)
    assert saved(log, tmp_path) == []
    assert not caplog.records


@pytest.mark.parametrize(
    "damaged",
    [
        lambda content: content[:-30],
        lambda content: b"",
        lambda content: bytes(len(content)),
        lambda content: content[:60] + bytes([content[60] ^ 4]) + content[61:],
    ],
    ids=["truncated", "empty", "zeros", "a bit"],
)
def test_damaged_reports_count_as_none_and_are_said_to_be_damaged(tmp_path, caplog, damaged):
    log_of(*(result(number, loss=math.sqrt(number)) for number in range(20))).save(tmp_path)
    file = tmp_path / REPORTS_FILE
    file.write_bytes(damaged(file.read_bytes()))
    assert iterations(tmp_path) == []
    assert f"{REPORTS_FILE} is damaged" in caplog.text


@pytest.mark.parametrize(("trainable", "config"), [(SearchTrainable, SMALL), (RetrainTrainable, RETRAINING)])
def test_checkpoints_of_a_trial_hold_all_its_reports_also_after_it_was_restored(tmp_path, trainable, config):
    first = trainable(config)
    reports = [first.train()]
    checkpoint = first.save(str(tmp_path / "1"))
    reports.append(first.train())  # is lost
    resumed = trainable(config)
    resumed.restore(checkpoint)
    reports[1:] = [resumed.train(), resumed.train()]
    resumed.save(str(tmp_path / "3"))
    kept = [{name: value for name, value in report.items() if name != "config"} for report in reports]
    assert read_reports(tmp_path / "3") == json.loads(json.dumps(kept))


@pytest.mark.parametrize(("trainable", "config"), [(SearchTrainable, SMALL), (RetrainTrainable, RETRAINING)])
def test_a_trial_that_gets_the_process_of_another_begins_without_reports(tmp_path, trainable, config):
    used = trainable(config)
    used.train()
    used.reset(config)
    used.save_checkpoint(str(tmp_path))
    assert iterations(tmp_path) == []


@pytest.mark.parametrize("content", [None, b"\x1f\x8bbroken"], ids=["of an older version", "damaged"])
def test_a_trial_goes_on_from_a_checkpoint_whose_reports_cannot_be_read(tmp_path, content):
    first = SearchTrainable(SMALL)
    first.train()
    checkpoint = first.save(str(tmp_path / "1"))
    (tmp_path / "1" / REPORTS_FILE).unlink() if content is None else (tmp_path / "1" / REPORTS_FILE).write_bytes(
        content
    )
    resumed = SearchTrainable(SMALL)
    resumed.restore(checkpoint)
    assert resumed.train()["epoch"] == 2
    resumed.save(str(tmp_path / "2"))
    assert iterations(tmp_path / "2") == [2]
