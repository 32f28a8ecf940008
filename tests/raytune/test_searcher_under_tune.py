"""ASNGSearch in real experiments of Tune: every kind of result, and a driver that is killed."""

import json
import math
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from ray import cloudpickle, tune

from ray_asng import ASNGSearch

pytestmark = pytest.mark.ray

DRIVER = Path(__file__).with_name("searching_driver.py")


def troubled():
    """A trial that breaks in several ways. Local, so that it is pickled whole."""

    def trial(config):
        if config["op"] == "fails":
            raise RuntimeError("as planned")
        if config["constant"] is None or config["option"][1].pattern != "thing":
            raise TypeError(f"constants came as {config}")
        return {"score": math.nan if config["op"] == "nan" else config["x"]}

    return trial


def test_nan_failures_objects_and_constants_run_to_the_end(ray_session, tmp_path):
    search = ASNGSearch(seed=0, samples=4)
    results = tune.Tuner(
        troubled(),
        param_space={
            "op": tune.choice(["fine", "nan", "fails"]),
            "x": tune.uniform(0.0, 1.0),
            "constant": re.compile("constant"),
            "option": tune.choice([[1, re.compile("thing")], (2, re.compile("thing"))]),
        },
        tune_config=tune.TuneConfig(
            search_alg=search, metric="score", mode="max", num_samples=12, max_concurrent_trials=2
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
    ).fit()
    kinds = Counter(result.config["op"] for result in results)
    assert sum(kinds.values()) == 12
    assert min(kinds["nan"], kinds["fails"], kinds["fine"]) >= 1
    assert len(results.errors) == kinds["fails"]
    assert search.counts["failed"] == kinds["fails"]
    assert search.counts["not finite"] == kinds["nan"]
    assert search.counts["learnt"] == 12
    assert search.counts["internal"] == 0


def start(folder):
    return subprocess.Popen(
        [sys.executable, str(DRIVER), str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.slow
def test_after_a_driver_was_killed_no_ended_trial_is_lost_or_repeated_and_the_search_goes_on(tmp_path):
    ended = tmp_path / "ended"
    driver = start(tmp_path)
    deadline = time.monotonic() + 600
    while not ended.exists() or ended.read_text().count("\n") < 7:
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < deadline, "no trial ended"
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    time.sleep(3)  # workers see that their driver is gone; one may still write its note
    before = ended.read_text().splitlines()
    again = start(tmp_path)
    assert again.wait() == 0, again.communicate()[0]
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["errors"] == 0
    assert len(found["rows"]) == 20
    configs = [json.dumps(config, sort_keys=True) for config, _ in found["rows"]]
    assert len(set(configs)) == 20
    # Those that were running when the driver died run again, two at the most, and nothing else does.
    times = Counter(ended.read_text().splitlines())
    assert sum(times.values()) - len(times) <= 2
    assert sum(config not in configs for config in before) == 0
    states = (tmp_path / "experiment").glob("searcher-state-*.pkl")
    newest = max(states, key=lambda path: path.stat().st_mtime)
    counts = cloudpickle.loads(newest.read_bytes())["counts"]
    assert counts["learnt"] >= 18
