"""The benchmarks run, leave their reports, and compute what these say."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from ray_asng.tally import Tally

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
# The other modules are what benchmarks share.
FILES = sorted(path for path in BENCHMARKS.glob("*.py") if "@click.command" in path.read_text())
STARTS_RAY = {"tune_overhead.py", "scaling_seeds.py"}
TAKES_LONG = STARTS_RAY | {
    "data_pipeline.py",
    "elastic_cost.py",
    "method_cost.py",
    "startup.py",
    "step_choices.py",
    "step_cost.py",
    "worked_examples.py",
}


def run(*arguments, **options):
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, **options)


def with_marks(path):
    marks = [pytest.mark.ray] * (path.name in STARTS_RAY) + [pytest.mark.slow] * (path.name in TAKES_LONG)
    return pytest.param(path, id=path.name, marks=marks)


@pytest.mark.parametrize("path", [with_marks(path) for path in FILES])
def test_a_smoke_run_leaves_a_report_that_says_what_it_shows_and_where(path, tmp_path):
    done = run(path, "--smoke", "--output", tmp_path / "report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]
    report = (tmp_path / "report" / f"{path.stem}.md").read_text()
    numbers = json.loads((tmp_path / "report" / f"{path.stem}.json").read_text())
    assert report.splitlines()[2] in path.read_text().splitlines()[0]
    assert report.count("|---|") >= 1
    assert str(tmp_path) not in report
    assert {"torch", "machine", "date"} <= set(numbers["settings"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_help_answers_and_names_what_every_benchmark_takes(path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    shown = CliRunner().invoke(importlib.import_module(path.stem).main, ["--help"])
    assert shown.exit_code == 0, shown.output
    assert "--smoke" in shown.output
    assert "--output" in shown.output


def test_the_plain_search_runs_in_a_process_without_ray():
    done = run(
        "-c",
        "import sys, timed_searches as t\n"
        "config = {**t.SMOKE_CONFIG, 'seed': 0, 'epochs': 2, 'steps_per_epoch': 1}\n"
        "print(len(t.run_plainly(t.Plan('plain', config, '')).epochs), 'ray' in sys.modules)",
        cwd=BENCHMARKS,
    )
    assert done.stdout == "2 False\n", done.stderr


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import scaling_seeds
    import timed_searches
    import tune_overhead

    return timed_searches, tune_overhead, scaling_seeds


def life_of(timed_searches, *searches, launched=0.0, gone=100.0, own=10.0, pause=0.0):
    """A process with searches that begin at given moments in (process, moment), each of four epochs with losses."""
    epochs = [
        {
            "trial": f"{process} {first}",
            "process": process,
            "began": first + epoch * (own + pause),
            "left": first + epoch * (own + pause) + own,
            "search_seconds": own,
            "cpu_seconds": own,
            "train_loss": 1.0 / (1 + epoch),
        }
        for process, first in searches
        for epoch in range(4)
    ]
    return timed_searches.Life(launched, gone, timed_searches.Record(epochs=epochs))


def test_a_pause_between_epochs_is_overhead_between_epochs_alone(scripts):
    timed_searches, tune_overhead, _ = scripts
    plain = life_of(timed_searches, (1, 5.0), gone=46.0)
    tuned = life_of(timed_searches, (1, 8.0), gone=51.6, pause=0.2)
    added = tune_overhead.compare(plain, tuned, 50)
    assert added["between epochs"] == pytest.approx(0.02)
    assert added["inside epochs, wall"] == added["inside epochs, CPU"] == pytest.approx(0.0)
    assert added["before the first epoch"] == pytest.approx(3.0)
    assert added["after the last epoch"] == pytest.approx(2.0)
    assert added["a whole search of 50 epochs"] == pytest.approx((3.0 + 50 * 0.2 + 2.0) / (5.0 + 50 * 10.0 + 1.0))


def test_slower_epochs_are_overhead_inside_epochs_alone(scripts):
    timed_searches, tune_overhead, _ = scripts
    added = tune_overhead.compare(
        life_of(timed_searches, (1, 5.0)), life_of(timed_searches, (1, 5.0), own=10.5, gone=102.0), 50
    )
    assert added["between epochs"] == pytest.approx(0.0)
    assert added["inside epochs, wall"] == added["inside epochs, CPU"] == pytest.approx(0.05)


def test_runs_that_computed_something_else_are_not_compared(scripts):
    timed_searches, tune_overhead, _ = scripts
    plain, tuned = life_of(timed_searches, (1, 5.0)), life_of(timed_searches, (1, 5.0))
    tuned.record.epochs[-1]["train_loss"] += 1e-12
    with pytest.raises(click.ClickException, match="losses"):
        tune_overhead.compare(plain, tuned, 50)


def test_a_second_process_that_begins_late_does_not_flatter_the_longest_process(scripts):
    """Two seeds of 40 s, the second 8 s late; four with a gap of 4 s between the trials of a process."""
    timed_searches, _, scaling_seeds = scripts
    lives = {
        "one plain": [life_of(timed_searches, (1, 5.0))],
        "one plain, 2 threads": [life_of(timed_searches, (1, 5.0), own=6.25)],
        "two plain": [life_of(timed_searches, (1, 5.0)), life_of(timed_searches, (2, 5.0))],
        "2 under Tune": [life_of(timed_searches, (1, 5.0), (2, 13.0))],
        "4 under Tune": [life_of(timed_searches, (1, 5.0), (2, 13.0), (1, 49.0), (2, 57.0))],
    }
    ratios = scaling_seeds.ratios_of({name: scaling_seeds.describe(run) for name, run in lives.items()})
    assert ratios == pytest.approx(
        {
            "4 under Tune / twice 2 under Tune": 92 / 96,
            "the same by the longest process": 84 / 80,
            "4 under Tune / twice two plain": 92 / 80,
            "2 under Tune / two plain": 48 / 40,
            "two plain / one plain, without Ray": 1.0,
            "two plain / two with 2 threads in a row": 40 / (2 * 25),
        }
    )


def test_the_pipelines_that_are_compared_do_the_same_to_an_image(scripts):
    """White images show black borders and the mean colour; the shares of 2000 are off by 0.01 at 5 deviations."""
    import data_pipeline as bench

    count, batch_size = 2000, 100
    pixels, labels = torch.full((count, 3, 32, 32), 255, dtype=torch.uint8), torch.zeros(count, dtype=torch.int64)
    white = pixels.permute(0, 2, 3, 1).numpy()
    torch.manual_seed(0)
    found = {
        "v1": [bench.Transformed(white, labels, Image.fromarray, bench.V1)[number][0] for number in range(count)],
        "v2": [bench.Transformed(pixels, labels, lambda image: image, bench.V2)[n][0] for n in range(count)],
        "ours": bench.make_task(pixels, labels).batch(
            "train", torch.arange(count - 10), torch.Generator().manual_seed(0)
        )[0],
    }
    shares = {}
    for name, images in found.items():
        values = (torch.stack(list(images))[:, 0] * 1000).round().int()
        shares[name] = {int(value): float((values == value).double().mean()) for value in values.unique()}
    assert len(shares["ours"]) == 3
    assert shares["v1"] == pytest.approx(shares["ours"], abs=0.01)
    assert shares["v2"] == pytest.approx(shares["ours"], abs=0.01)
    jobs = bench.turns(images=200, batch_size=batch_size, count=2)
    for job in jobs.values():
        job()


def test_searches_are_held_against_those_with_equally_many_threads(scripts):
    timed_searches, _, scaling_seeds = scripts
    found = {name: [life_of(timed_searches, (1, 5.0))] for name in scaling_seeds.RUNS}
    found["one plain, 2 threads"][0].record.epochs[-1]["train_loss"] *= 1.01
    scaling_seeds.check_equal(found)
    assert scaling_seeds.thread_difference(found) == pytest.approx(0.01)
    found["two plain"][0].record.epochs[-1]["train_loss"] *= 1.01
    with pytest.raises(click.ClickException, match="losses"):
        scaling_seeds.check_equal(found)


def test_a_failing_child_is_reported_with_its_log(scripts, tmp_path):
    timed_searches, *_ = scripts
    plan = timed_searches.Plan("plain", {"seed": 0, "epoch": 1}, str(tmp_path / "child"))
    with pytest.raises(click.ClickException, match="unknown config key 'epoch'"):
        timed_searches.run_children(plan)


@pytest.fixture(params=["nasbench201 C=8 N=1 16x16", "cae_int C=4 16x16"])
def rivals(request, monkeypatch):
    """A search, its next step planned, and the published arrangement of it about to take the same step."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import measured_networks
    import next_step
    import published_step

    case = measured_networks.SMOKE[request.param]
    search, published = measured_networks.make_search(case), published_step.published_search(case, "contiguous")
    published.supernet.load_state_dict(search.supernet.state_dict())
    next_step.set_random_state(published, next_step.random_state(search))
    return search, next_step.look_ahead(search), published


def losses_of(search, children, batch):
    inputs, targets = batch
    with torch.no_grad():
        return [float(search.task.loss(child(inputs), targets)) for child in children]


def test_the_floor_of_a_step_trains_the_children_that_the_step_samples_on_its_batches(rivals):
    search, plan, _ = rivals
    import step_cost

    train = losses_of(search, plan.train_children, plan.train)
    before = [[weight.clone() for weight in child.parameters()] for child in plan.train_children]
    step_cost.floor_step(search, plan)
    for child, weights in zip(plan.train_children, before, strict=True):
        assert not all(torch.equal(new, old) for new, old in zip(child.parameters(), weights, strict=True))
    trained = losses_of(search, plan.train_children, plan.train)
    assert sum(trained) < sum(train)


def test_a_step_runs_the_children_that_its_floor_runs(rivals):
    search, plan, _ = rivals
    tally = Tally()
    expected = losses_of(search, plan.train_children, plan.train)
    search._steps.weight_step(tally)
    assert tally.loss == pytest.approx(sum(expected) / 2, rel=1e-5)


def test_the_published_arrangement_takes_the_same_step(rivals):
    search, _, published = rivals
    before = {name: weight.clone() for name, weight in search.supernet.named_parameters()}
    for each in (search, published):
        each._steps.weight_step(Tally())
    theirs, changed = dict(published.supernet.named_parameters()), 0
    for name, weight in search.supernet.named_parameters():
        moved = weight != before[name]
        torch.testing.assert_close(theirs[name][moved], weight[moved], rtol=1e-4, atol=5e-5)
        changed += int(moved.sum())
    assert changed > 0


@pytest.fixture
def searches(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import late_results
    import samplers
    import search_panel

    return search_panel, samplers, late_results


def search_task(searches, method, problem="one-max-noisy", name="a method", seed=0, evaluations=40):
    panel = searches[0]
    return panel.Task(name, method, problem, panel.PANEL[problem], seed, evaluations)


def test_runs_that_are_kept_are_not_made_again_unless_they_are_too_short(searches, tmp_path, monkeypatch):
    panel, samplers, _ = searches
    tasks = [search_task(searches, samplers.METHODS["random"], name="random", seed=seed) for seed in (0, 1)]
    panel.KeptRuns(tmp_path / "runs.parquet").complete(tasks, 1)
    made = []
    monkeypatch.setattr(panel, "simulate", lambda task, simulate=panel.simulate: made.append(task) or simulate(task))
    again = panel.KeptRuns(tmp_path / "runs.parquet")
    longer = search_task(searches, samplers.METHODS["random"], name="random", seed=1, evaluations=50)
    again.complete([*tasks, longer], 1)
    assert made == [longer]
    assert again.of("random", "one-max-noisy")[1].after(40) == panel.simulate(tasks[1]).values[-1]


def test_trials_out_at_a_time_come_back_in_the_order_in_which_they_end(searches):
    panel, samplers, _ = searches
    one, many = (
        panel.simulate(search_task(searches, samplers.METHODS[name])) for name in ("asng-search", "asng-search-16")
    )
    assert many.seconds == sorted(many.seconds)
    assert many.total_seconds < one.total_seconds / 8
    assert many.evaluations == one.evaluations


def test_weights_by_the_draw_matter_only_where_results_are_late(searches):
    panel, _, late = searches
    for workers, is_same in ((1, True), (16, False)):
        plain, by_draw, _ = (
            panel.simulate(search_task(searches, way, evaluations=80)) for way in late.ways(workers).values()
        )
        assert ((plain.at, plain.values) == (by_draw.at, by_draw.values)) is is_same


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import toy_sensitivity

    return toy_sensitivity


@pytest.fixture
def toy_runs(toy):
    import toy_runs

    return toy_runs


def iterations_of(toy, *rows, limit=100):
    return toy.Iterations(np.array(rows, dtype=float), limit)


def test_quartiles_of_finished_runs_are_those_of_numpy(toy):
    values = np.random.default_rng(0).uniform(size=(3, 20))
    shares = (0.25, 0.5, 0.75)
    np.testing.assert_allclose(toy.quantiles(values, shares), np.quantile(values, shares, axis=1))


def test_a_quartile_that_a_failed_run_takes_part_in_ends_at_the_limit(toy):
    found = iterations_of(toy, [1, 2, 3, np.inf], [4, 5, np.inf, np.inf])
    assert found.failures == [1, 2]
    assert found.quartiles().tolist() == [[1.75, 2.5, 100.0], [4.75, 100.0, 100.0]]


def test_the_worst_median_over_the_best_is_a_bound_once_a_failed_run_takes_part_in_it(toy):
    finished = toy.worst_over_best(iterations_of(toy, [10] * 5, [30] * 4 + [np.inf]))
    assert (finished.value, finished.is_bound) == (3.0, False)
    failed = toy.worst_over_best(iterations_of(toy, [10] * 5, [30] * 2 + [np.inf] * 3))
    assert (failed.value, failed.is_bound) == (10.0, True)
    assert (failed.low, failed.high) == (3.0, 10.0)


def test_every_method_solves_a_small_toy_and_the_same_setting_twice_alike(toy_runs):
    settings = [toy_runs.Setting(method, 0.05, 0.5, 0, 4, 3, 2000) for method in toy_runs.METHODS]
    runs = [toy_runs.simulate(setting) for setting in settings]
    assert all(run.is_solved and 1 < run.iterations < 2000 for run in runs)
    assert [toy_runs.simulate(setting).iterations for setting in settings] == [run.iterations for run in runs]


def test_a_run_that_reaches_the_limit_has_failed(toy_runs):
    run = toy_runs.simulate(toy_runs.Setting("asng", 0.005, 1.0, 0, 30, 5, 20))
    assert (run.is_solved, run.iterations) == (False, 20)


def test_toys_that_are_solved_once_are_not_solved_again(toy_runs, tmp_path, monkeypatch):
    settings = [toy_runs.Setting("sng", 0.05, 0.5, seed, 4, 3, 500) for seed in range(3)]
    toy_runs.KeptRuns(tmp_path / "runs.parquet").complete(settings[:2], 1)
    made = []
    monkeypatch.setattr(
        toy_runs, "simulate", lambda given, simulate=toy_runs.simulate: made.append(given) or simulate(given)
    )
    again = toy_runs.KeptRuns(tmp_path / "runs.parquet")
    again.complete(settings, 1)
    assert made == settings[2:]
    assert set(toy_runs.KeptRuns(tmp_path / "runs.parquet").runs) == set(settings)
