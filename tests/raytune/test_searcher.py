"""ASNGSearch by the calls that Tune makes: results of every kind, points given, and the same future after a restore."""

import logging
import math
import subprocess
import sys

import numpy as np
import pytest
from ray import tune
from ray.tune.search import ConcurrencyLimiter, Repeater

from ray_asng.optimizers import RandomSearch
from ray_asng.optimizers.wa_asng import WeightAdaptingASNG
from ray_asng.raytune.searcher import ASNGSearch

SPACE = {"op": tune.choice(["a", "b", "c"]), "net": {"width": tune.randint(1, 9), "depth": 3}, "lr": tune.uniform(0, 1)}


def loss(config):
    return (config["op"] != "b") + abs(config["net"]["width"] - 7) / 8 + abs(config["lr"] - 0.2)


def search(**options):
    return ASNGSearch(SPACE, metric="loss", mode="min", **{"seed": 0, **options})


def run(searcher, count, first=0):
    """The configs of so many trials, one after the other."""
    configs = []
    for number in range(first, first + count):
        configs.append(searcher.suggest(f"t{number}"))
        searcher.on_trial_complete(trial_id=f"t{number}", result={"loss": loss(configs[-1])})
    return configs


def test_only_what_is_searched_is_suggested_as_plain_values():
    config = search().suggest("t")
    assert set(config) == {"op", "net", "lr"}
    assert set(config["net"]) == {"width"}
    assert (type(config["op"]), type(config["net"]["width"]), type(config["lr"])) == (str, int, float)


def test_a_search_finds_a_planted_optimum():
    found = [min(map(loss, run(search(seed=seed), 80))) for seed in range(10)]
    assert np.mean(found) < 0.05
    assert max(found) < 0.2


def test_no_suggestion_waits_for_a_result():
    searcher = search()
    assert all(searcher.suggest(str(number)) for number in range(100))


def test_the_metric_is_maximised_if_the_mode_says_so():
    searcher = ASNGSearch(SPACE, metric="score", mode="max", seed=0)
    for number in range(80):
        config = searcher.suggest(str(number))
        searcher.on_trial_complete(trial_id=str(number), result={"score": -loss(config)})
    assert loss(searcher.suggest("last")) < 0.5


def test_a_space_from_tune_is_taken_once():
    searcher = ASNGSearch(seed=0)
    assert searcher.set_search_properties("loss", "min", dict(SPACE)) is True
    assert searcher.set_search_properties("loss", "min", dict(SPACE)) is False
    assert searcher.suggest("t") == search().suggest("t")


def test_a_mode_without_a_metric_means_the_one_value_that_a_function_returns():
    searcher = ASNGSearch(seed=0)
    searcher.set_search_properties(None, "min", dict(SPACE))
    assert searcher.metric == "_metric"


def test_without_space_metric_or_mode_a_suggestion_says_what_to_give():
    with pytest.raises(RuntimeError, match="search space"):
        ASNGSearch(metric="loss", mode="min").suggest("t")
    with pytest.raises(RuntimeError, match="metric"):
        ASNGSearch(SPACE, mode="min").suggest("t")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None, "no number"])
def test_a_result_that_is_no_finite_number_ranks_worst_and_is_warned_of_once(bad, caplog):
    searcher = search(method_options={"reuse": 0}, samples=4)
    configs = {str(number): searcher.suggest(str(number)) for number in range(8)}
    for number, config in configs.items():
        searcher.on_trial_complete(trial_id=number, result={"loss": bad if config["op"] == "a" else 1.0})
    broken = sum(config["op"] == "a" for config in configs.values())
    assert 0 < broken < 8
    assert searcher.counts["not finite"] == broken
    assert searcher.counts["learnt"] == 8
    probabilities = searcher._optimizer.probabilities["op"]
    assert probabilities[0] < min(probabilities[1:])
    assert sum("ranks worst" in record.message for record in caplog.records) == 1


def test_a_missing_metric_ranks_worst():
    searcher = search()
    searcher.suggest("t")
    searcher.on_trial_complete(trial_id="t", result={"other": 1.0})
    assert searcher.counts["not finite"] == 1
    assert searcher._batch[0][1] == math.inf


def test_failed_trials_rank_worst_and_still_close_a_batch():
    searcher = search(samples=4)
    for number in range(4):
        searcher.suggest(str(number))
        searcher.on_trial_complete(trial_id=str(number), result=None, error=True)
    assert searcher.counts == {"suggested": 4, "failed": 4, "learnt": 4}
    assert searcher.suggest("next")


def test_a_failed_trial_that_is_run_again_is_learnt_from_then():
    searcher = search()
    searcher.suggest("t")
    searcher.on_trial_complete(trial_id="t", error=True)
    searcher.on_trial_complete(trial_id="t", result={"loss": 0.5})
    assert [loss for _, loss in searcher._batch] == [math.inf, 0.5]
    assert searcher.counts["unknown"] == 0


def test_a_finite_result_counts_although_the_trial_is_called_failed():
    searcher = search()
    searcher.suggest("t")
    searcher.on_trial_complete(trial_id="t", result={"loss": 0.5}, error=True)
    assert [loss for _, loss in searcher._batch] == [0.5]
    assert searcher.counts["failed"] == 0


def test_a_trial_that_was_stopped_before_its_first_result_teaches_nothing():
    searcher = search()
    searcher.suggest("t")
    searcher.on_trial_complete(trial_id="t", result=None, error=False)
    assert searcher._batch == []
    assert searcher._live == {}


def test_unknown_and_repeated_trials_are_counted_and_teach_nothing():
    searcher = search()
    run(searcher, 1)
    searcher.on_trial_result("nobody", {"loss": 1.0})
    searcher.on_trial_complete(trial_id="nobody", result={"loss": 1.0})
    searcher.on_trial_complete(trial_id="t0", result={"loss": 1.0})
    assert searcher.counts["unknown"] == 2
    assert len(searcher._batch) == 1


def test_points_are_tried_first_as_given_and_what_they_leave_out_is_drawn():
    points = [{"op": "c", "net": {"width": 8}, "lr": 0.123456789}, {"lr": 0.5}]
    searcher = search(points_to_evaluate=points)
    assert searcher.suggest("a") == points[0]
    second = searcher.suggest("b")
    assert second["lr"] == 0.5
    assert second["op"] in "abc"
    assert searcher.suggest("c")["lr"] != 0.5


def test_points_with_rewards_are_learnt_from_and_not_tried():
    points = [{"op": "b", "net": {"width": w}, "lr": 0.2} for w in (7, 8)]
    points += [{"op": "a", "net": {"width": w}, "lr": 0.9} for w in (1, 2)]
    searcher = search(points_to_evaluate=points, evaluated_rewards=[0.0, 0.1, 2.0, 2.5], samples=4)
    first = searcher.suggest("t")
    assert first not in points
    assert searcher.counts["learnt"] == 4
    assert searcher._optimizer.probabilities["op"][1] > 1 / 3


def test_evaluated_points_and_trials_move_the_distribution():
    searcher = search(samples=2)
    searcher.add_evaluated_point({"op": "b", "net": {"width": 7, "depth": 3}, "lr": 0.2}, 0.0)
    searcher.add_evaluated_point({"op": "a", "net": {"width": 1, "depth": 3}, "lr": 0.9}, 3.0, error=False)
    assert searcher._optimizer.probabilities["op"][1] > 1 / 3 > searcher._optimizer.probabilities["op"][0]


@pytest.mark.parametrize("retries", [0, 100])
def test_a_point_is_tried_again_only_where_repeats_are_wanted(retries):
    space = {"a": tune.choice(list(range(4))), "b": tune.choice(list(range(4)))}
    searcher = ASNGSearch(space, metric="loss", mode="min", seed=0, retries=retries)
    configs = []
    for number in range(12):
        configs.append(tuple(searcher.suggest(str(number)).values()))
        searcher.on_trial_complete(trial_id=str(number), result={"loss": sum(configs[-1])})
    assert (len(set(configs)) == 12) == (retries > 0)


def test_a_space_that_is_exhausted_is_searched_again():
    searcher = ASNGSearch({"a": tune.choice([1, 2])}, metric="loss", mode="min", seed=0)
    assert {searcher.suggest(str(number))["a"] for number in range(10)} == {1, 2}


STOP = [0, 1, 7, 30]


@pytest.mark.parametrize("stop", STOP)
def test_a_restored_search_has_the_same_future_bit_for_bit_in_another_process(stop, tmp_path):
    straight, stopped = search(), search()
    expected = run(straight, stop) and run(straight, 20, stop) if stop else run(straight, 20)
    run(stopped, stop)
    stopped.save(str(tmp_path / "state"))
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); from ray_asng import ASNGSearch; from test_searcher import run;"
        "s = ASNGSearch(); s.restore(sys.argv[1]); print(run(s, 20, int(sys.argv[3])))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "state"), str(__file__).rpartition("/")[0], str(stop)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(expected), done.stderr


def test_trials_that_were_out_when_the_state_was_saved_can_be_completed_after_a_restore(tmp_path):
    saved, restored = search(samples=2), ASNGSearch()
    for name in "abc":
        saved.suggest(name)
    saved.on_trial_complete(trial_id="a", result={"loss": 1.0})
    saved.save(str(tmp_path / "state"))
    restored.restore(str(tmp_path / "state"))
    for searcher in (saved, restored):
        searcher.on_trial_complete(trial_id="b", result={"loss": 0.5})
    assert restored.counts["learnt"] == 2
    assert restored.suggest("d") == saved.suggest("d")
    assert set(restored._live) == {"c", "d"}


@pytest.mark.parametrize("samples", [None, 32])
def test_the_state_after_1000_trials_is_below_100_kb(samples, tmp_path):
    space = {f"p{index}": tune.choice(list("abcde")) for index in range(60)}
    searcher = ASNGSearch(space, metric="loss", mode="min", seed=0, samples=samples)
    for number in range(1000):
        config = searcher.suggest(f"trial_{number:05}")
        searcher.on_trial_complete(trial_id=f"trial_{number:05}", result={"loss": list(config.values()).count("a")})
    searcher.save(str(tmp_path / "state"))
    assert (tmp_path / "state").stat().st_size < 100_000


def test_a_state_of_another_format_is_refused(tmp_path):
    searcher = search()
    state = {**searcher._state(), "format": 99}
    from ray import cloudpickle

    (tmp_path / "state").write_bytes(cloudpickle.dumps(state))
    with pytest.raises(ValueError, match="format 1, but 99"):
        searcher.restore(str(tmp_path / "state"))


class Broken(RandomSearch):
    def ask(self, count):
        raise ZeroDivisionError("as planned")

    def tell(self, proposals, losses):
        raise ZeroDivisionError("as planned")


def test_a_fault_inside_is_logged_and_counted_and_trials_go_on(caplog):
    searcher = search(method=Broken, samples=1)
    with caplog.at_level(logging.ERROR):
        configs = run(searcher, 3)
    assert len({str(config) for config in configs}) == 3
    assert searcher.counts["internal"] == 6
    assert "ZeroDivisionError: as planned" in caplog.text


@pytest.mark.parametrize("method", ["sng", "random_search", "evolution", "reinforce"])
def test_other_sampling_methods_search_by_name(method):
    space = {"a": tune.choice(list(range(5))), "b": tune.choice(list(range(5)))}
    searcher = ASNGSearch(space, metric="loss", mode="min", seed=0, method=method)
    for number in range(30):
        config = searcher.suggest(str(number))
        searcher.on_trial_complete(trial_id=str(number), result={"loss": config["a"] + config["b"]})
    assert searcher.counts["internal"] == 0
    assert searcher.counts["learnt"] > 0


def test_the_default_number_of_results_for_a_step_grows_with_concurrency():
    few, many = search(), search()
    ConcurrencyLimiter(few, max_concurrent=4)
    ConcurrencyLimiter(many, max_concurrent=100)
    few.suggest("t"), many.suggest("t")
    assert (few._samples, many._samples) == (4, 10)


def test_large_batches_adapt_the_weights_of_ranks_unless_results_are_reused():
    small, large, reusing = search(samples=24), search(samples=25), search(samples=25, method_options={"reuse": 50})
    for searcher in (small, large, reusing):
        searcher.suggest("t")
    kinds = [isinstance(searcher._optimizer, WeightAdaptingASNG) for searcher in (small, large, reusing)]
    assert kinds == [False, True, False]


def test_a_large_batch_search_goes_on_bit_for_bit_from_its_state(tmp_path):
    saved, restored = search(samples=25), ASNGSearch()
    run(saved, 90)
    saved.save(str(tmp_path / "state"))
    restored.restore(str(tmp_path / "state"))
    assert run(saved, 60, 90) == run(restored, 60, 90)


def test_a_repeater_gives_the_mean_of_its_repeats():
    searcher = search()
    repeater = Repeater(searcher, repeat=3)
    configs = [repeater.suggest(str(number)) for number in range(3)]
    assert len({config["lr"] for config in configs}) == 1
    for number in range(3):
        repeater.on_trial_complete(str(number), {"loss": float(number)})
    assert [loss for _, loss in searcher._batch] == [1.0]


def test_a_method_that_mixes_options_is_refused():
    with pytest.raises(ValueError, match="'darts' mixes the options of a network and cannot choose trials; use a"):
        ASNGSearch({"a": tune.choice([1, 2])}, metric="loss", mode="min", method="darts")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "best"}, "mode must be one of"),
        ({"retries": -1}, "retries must be at least 0"),
        ({"method": "darts"}, "darts takes categorical decisions only"),
        ({"method": "asgn"}, "did you mean 'asng'"),
        ({"method_options": {"step": 1}}, "method 'asng' does not take method_options"),
        ({"points_to_evaluate": [{"op": "z"}]}, "'op' has the options"),
        ({"points_to_evaluate": [{"oq": "a"}]}, "'oq'; did you mean 'op'"),
        ({"points_to_evaluate": [{"net": {"width": 99}}]}, "'net/width' takes a number from 1"),
        ({"points_to_evaluate": [{"op": "a"}], "evaluated_rewards": [1, 2]}, "one reward for each of the 1"),
    ],
)
def test_bad_settings_are_refused_at_construction_with_their_name(options, message):
    with pytest.raises(ValueError, match=message):
        ASNGSearch(SPACE, **{"metric": "loss", "mode": "min", **options})


def test_late_results_are_learnt_from_in_any_order():
    rng = np.random.default_rng(0)
    searcher = search()
    out = {str(number): searcher.suggest(str(number)) for number in range(64)}
    for number in range(64, 300):
        name = list(out)[int(rng.integers(len(out)))]
        searcher.on_trial_complete(trial_id=name, result={"loss": loss(out.pop(name))})
        out[str(number)] = searcher.suggest(str(number))
    assert min(map(loss, out.values())) < 0.2
