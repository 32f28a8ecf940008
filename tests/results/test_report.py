"""The report: what it says with everything there, and with pieces missing."""

import json
import shutil

import numpy as np
import pytest
from made_up import study, truths
from tune_output import retraining_reports, search_reports, write_output, write_trial

from ray_asng.results.collect import collect
from ray_asng.results.document import Heading, Picture
from ray_asng.results.figures import cells
from ray_asng.results.markdown import markdown
from ray_asng.results.missing import missing
from ray_asng.results.report import best_search, write_report
from ray_asng.results.store import write_table
from ray_asng.results.summary import content
from ray_asng.results.tables import terminal_table
from ray_asng.results.trials import child_values, grounds


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    folder = write_output(tmp_path_factory.mktemp("full"))
    write_table(collect(folder, command="ray-asng search --seeds 4"), folder / "results.parquet")
    shutil.rmtree(folder / "tune")  # the report may use results.parquet only
    report = write_report(folder)
    return folder, report, report.summary.read_text()


def table_of(folder, trials):
    """The result table of {trial id: reports}, all of one experiment."""
    for trial, reports in trials.items():
        write_trial(folder / "exp", trial, reports)
    return collect(folder / "exp")


def no_file(name, figure):
    """Instead of storing a figure: the path that it would have."""
    return f"figures/{name}.png"


def text_of(table):
    """The report as Markdown, its figures drawn and thrown away."""
    return markdown(content(table, no_file))


def notes_of(table):
    """What is missing, in one text."""
    return "\n".join(note for ground in grounds(table) for note in missing(ground))


def changed(reports, **changes):
    return [{**report, **changes} for report in reports]


def test_the_table_has_a_row_for_each_method_with_mean_and_interval(full):
    _, _, text = full
    assert "| asng | 4 | 95.4 % ± 1.8 | 98.1 % ± 0.4 |" in text
    assert "| random architecture (no search) | — | — | 96.9 % (one value, no interval) |" in text


def test_the_table_says_how_well_the_shared_weights_serve_the_sampled_paths(full):
    _, _, text = full
    header, row = (
        next(line for line in text.splitlines() if line.startswith(start)) for start in ("| method", "| asng")
    )
    cell = row.split(" | ")[header.split(" | ").index("sampled accuracy, validation")]
    sampled = [search_reports("asng", seed)[-1]["valid_accuracy"] for seed in range(4)]
    assert cell.startswith(f"{100 * sum(sampled) / 4:.1f} % ±")


def test_every_found_architecture_is_written_out(full):
    _, _, text = full
    for method, seed in (("asng", 0), ("asng", 3), ("random_search", 1), ("darts", 0)):
        assert search_reports(method, seed)[-1]["architecture_text"] in text


def test_every_comparison_says_whether_it_is_more_than_noise(full):
    _, _, text = full
    assert "darts against asng: -0.1 percentage points" in text
    assert "p = 1; 2 and 4 values): not more than noise explains" in text
    assert "random_architecture against asng: -1.2 percentage points. Whether this is more than noise cannot" in text


def test_a_large_difference_is_called_better_or_worse_by_the_direction_of_the_metric(tmp_path):
    trials = {}
    for seed in range(4):
        trials[f"aaaaa_{seed:05d}"] = changed(search_reports("asng", seed), path_accuracy=0.9 + 0.001 * seed)
        trials[f"bbbbb_{seed:05d}"] = changed(search_reports("darts", seed), path_accuracy=0.5 + 0.001 * seed)
    assert "darts is worse, by more than noise." in text_of(table_of(tmp_path, trials))


def test_failed_trials_are_listed_with_their_error(full):
    _, report, text = full
    assert "| search | ab12f_00098 | gaea | 7 | 0 | — | — | `RuntimeError: out of memory` |" in text
    assert "failed before its first report: ab12f_00098 gaea — RuntimeError: out of memory" in report.table


def test_a_failed_trial_is_shown_with_its_last_good_state(tmp_path):
    reports = changed(search_reports("asng", 3, done=5), path_accuracy=0.75)
    error = "Failure # 1 (occurred at 2026-03-01_11-00-00)\nRuntimeError: boom\n"
    place = write_trial(tmp_path / "exp", "aaaaa_00000", reports, error=error)
    for index, written in enumerate((b"", b"PK but not really")):
        (place / f"checkpoint_{index:06d}").mkdir()
        (place / f"checkpoint_{index:06d}" / "search.pt").write_bytes(written)
    (place / "checkpoint_000000" / "search.pt").unlink()
    (place / "checkpoint_000000" / "mine.json").write_text("{}")
    table = collect(tmp_path / "exp")
    line = "| exp | aaaaa_00000 | asng | 3 | 5 | path_accuracy 75.0 % | checkpoint_000000 | `RuntimeError: boom` |"
    assert line in text_of(table)
    assert "failed after epoch 5: aaaaa_00000 asng — RuntimeError: boom" in terminal_table(table)


def test_the_recorded_command_versions_and_device_are_shown(full):
    _, _, text = full
    assert "```sh\nray-asng search --seeds 4\n```" in text
    assert "torch 2.14.1" in text
    assert "Device: cpu." in text


def test_all_figures_of_a_full_run_are_written_and_linked(full):
    folder, report, text = full
    names = {path.name for path in report.figures}
    assert {"curves.png", "convergence.png", "retraining.png"} <= names
    assert {f"architecture_{method}.png" for method in ("asng", "random_search", "darts")} <= names
    assert {f"probabilities_asng_seed{seed}.png" for seed in range(4)} <= names
    for path in report.figures:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert f"]({path.relative_to(folder).as_posix()})" in text


def test_the_best_architecture_is_chosen_by_validation(full):
    folder, report, _ = full
    assert report.best_architectures == (folder / "best_architecture.json",)
    best = json.loads((folder / "best_architecture.json").read_text())
    finals = {
        (method, seed): search_reports(method, seed)[-1]
        for method, seeds in (("asng", 4), ("random_search", 2), ("darts", 2))
        for seed in range(seeds)
    }
    method, seed = max(finals, key=lambda key: finals[key]["path_accuracy"])
    assert (best["method"], best["seed"], best["space"]) == (method, seed, "nasbench201")
    assert best["text"] == finals[(method, seed)]["architecture_text"]
    assert best["architecture"] == json.loads(finals[(method, seed)]["architecture"])
    assert best["path_accuracy"] == finals[(method, seed)]["path_accuracy"]


def test_the_test_split_has_no_say_in_the_best_architecture(tmp_path):
    trials = {
        "aaaaa_00000": changed(search_reports("asng", 0), path_accuracy=0.91),
        "aaaaa_00001": changed(search_reports("asng", 1), path_accuracy=0.92),
        "bbbbb_00000": retraining_reports("asng", 0, test_accuracy=0.99),
        "bbbbb_00001": retraining_reports("asng", 1, test_accuracy=0.10),
    }
    assert best_search(table_of(tmp_path, trials)).last("seed") == 1


def test_a_metric_where_lower_is_better_picks_the_lowest(tmp_path):
    trials = {
        f"aaaaa_{seed:05d}": changed(
            search_reports("asng", seed), metric="mse", higher_is_better=False, path_mse=3.0 - seed
        )
        for seed in range(2)
    }
    table = table_of(tmp_path, trials)
    assert "asng, seed 1, 2" in text_of(table)
    assert best_search(table).last("seed") == 1


def test_one_search_alone_gives_a_report_that_says_what_is_missing(tmp_path):
    write_table(table_of(tmp_path, {"aaaaa_00000": search_reports("asng", 0, epochs=1)}), tmp_path / "results.parquet")
    report = write_report(tmp_path)
    text = report.summary.read_text()
    assert any("one seed only" in note for note in report.missing)
    assert any("nothing was retrained yet" in note for note in report.missing)
    assert "There is only one method, so there is nothing to compare." in text
    assert all(note in text for note in report.missing)
    assert "'seed': tune.grid_search([0])" in text


def test_retraining_without_a_search_gives_a_report(tmp_path):
    table = table_of(tmp_path, {"bbbbb_00000": retraining_reports("random_architecture", -1)})
    write_table(table, tmp_path / "results.parquet")
    report = write_report(tmp_path)
    assert any("no search, only retraining" in note for note in report.missing)
    assert report.best_architectures == ()


def test_a_space_without_a_graph_is_reported_and_not_drawn(tmp_path):
    table = table_of(tmp_path, {"aaaaa_00000": changed(search_reports("asng", 0), architecture_graph="")})
    (ground,) = grounds(table)
    assert cells(ground, no_file) == []
    assert "no drawing of what asng found: no graph was reported" in notes_of(table)


def test_a_broken_graph_is_reported_and_not_drawn(tmp_path):
    graph = json.dumps({"nodes": ["a"], "edges": [["a", "b", "conv"]]})
    table = table_of(tmp_path, {"aaaaa_00000": changed(search_reports("asng", 0), architecture_graph=graph)})
    (ground,) = grounds(table)
    assert cells(ground, no_file) == []
    assert "ends at 'b', which is none of the nodes" in notes_of(table)


def test_reports_with_the_least_columns_do_not_break_the_report(tmp_path):
    least = ("kind", "method", "space", "task", "seed", "train_loss")
    reports = [{name: report[name] for name in least} for report in search_reports("asng", 0, epochs=2)]
    write_table(table_of(tmp_path, {"aaaaa_00000": reports}), tmp_path / "results.parquet")
    assert "## nasbench201 on digits" in write_report(tmp_path).summary.read_text()


def test_a_run_in_which_every_trial_failed_gives_a_report(tmp_path):
    write_trial(tmp_path / "exp", "aaaaa_00000", [], error="ValueError: no\n", config={"method": "asng", "seed": 1})
    write_table(collect(tmp_path / "exp"), tmp_path / "results.parquet")
    text = write_report(tmp_path).summary.read_text()
    assert "No search and no retraining has reported yet." in text
    assert "`ValueError: no`" in text


def test_an_unfinished_search_is_shown_and_does_not_count(tmp_path):
    trials = {
        "aaaaa_00000": changed(search_reports("asng", 0), path_accuracy=0.9),
        "aaaaa_00001": changed(search_reports("asng", 1), path_accuracy=0.8),
        "aaaaa_00002": changed(search_reports("asng", 2, done=5), path_accuracy=0.1),
    }
    table = table_of(tmp_path, trials)
    text = text_of(table)
    assert "| asng | 2 (epoch 5 of 20) | 10.0 % |" in text
    assert "| asng | 2 | 85.0 %" in text
    assert "seed 2, stands at epoch 5 of 20" in notes_of(table)


def ended(reports, how):
    """The reports with the word for how they ended in the last one."""
    return [*reports[:-1], {**reports[-1], "ended": how}]


def test_a_search_that_was_stopped_is_shown_and_does_not_count(tmp_path):
    trials = {
        "aaaaa_00000": changed(search_reports("asng", 0), path_accuracy=0.9),
        "aaaaa_00001": changed(search_reports("asng", 1), path_accuracy=0.8),
        "aaaaa_00002": ended(changed(search_reports("asng", 2, done=5), path_accuracy=0.1), "stopped"),
    }
    table = table_of(tmp_path, trials)
    text = text_of(table)
    assert "| asng | 2 (stopped at epoch 5 of 20) | 10.0 % |" in text
    assert "| asng | 2 | 85.0 %" in text
    assert "search of asng, seed 2, was stopped at epoch 5 of 20; it does not count" in notes_of(table)


def test_searches_that_converged_or_collapsed_count_and_are_told_apart(tmp_path):
    """To leave a collapse out would flatter the method."""
    trials = {
        "aaaaa_00000": changed(search_reports("darts", 0), path_accuracy=0.9),
        "aaaaa_00001": ended(changed(search_reports("darts", 1, done=5), path_accuracy=0.1), "collapsed"),
        "aaaaa_00002": ended(changed(search_reports("darts", 2, done=9), path_accuracy=0.8), "converged"),
        "aaaaa_00003": ended(changed(search_reports("darts", 3, done=7), path_accuracy=0.8), "converged"),
    }
    table = table_of(tmp_path, trials)
    text = text_of(table)
    assert "| darts | 4 | 65.0 %" in text
    assert "20 epochs. 2 of 4 converged and ended at epochs 7, 9. 1 of 4 collapsed and ended at epoch 5." in text
    assert "| darts | 1 (collapsed at epoch 5 of 20) | 10.0 % |" in text
    assert "epoch 5 of 20" not in notes_of(table)


def test_a_diverged_search_is_named_and_left_out_of_the_mean(tmp_path):
    trials = {
        "aaaaa_00000": changed(search_reports("asng", 0), path_accuracy=0.9),
        "aaaaa_00001": changed(search_reports("asng", 1), path_accuracy=float("nan")),
    }
    table = table_of(tmp_path, trials)
    assert "90.0 % (one value, no interval)" in text_of(table)
    assert "seed(s) [1]: no finite path_accuracy" in notes_of(table)


def test_retraining_one_child_twice_does_not_count_twice(tmp_path):
    trials = {f"aaaaa_{seed:05d}": retraining_reports("asng", 0, seed=seed, architecture="{}") for seed in range(3)}
    assert "(one value, no interval)" in text_of(table_of(tmp_path, trials))


def test_searches_of_one_method_with_other_settings_are_apart(tmp_path):
    trials = {}
    for number, step in enumerate((0.1, 1.0)):
        config = json.dumps({"method": "asng", "seed": number, "method_options": {"initial_step": step}})
        trials[f"aaaaa_{number:05d}"] = changed(search_reports("asng", number), config_json=config)
    (ground,) = grounds(table_of(tmp_path, trials))
    assert list(ground.searches) == ["asng (initial_step=0.1)", "asng (initial_step=1.0)"]


def test_two_tasks_are_two_grounds_with_files_of_their_own(tmp_path):
    trials = {
        "aaaaa_00000": changed(retraining_reports("asng", 0), task="digits"),
        "aaaaa_00001": changed(retraining_reports("asng", 0), task="my_module:cats"),
    }
    write_table(table_of(tmp_path, trials), tmp_path / "results.parquet")
    report = write_report(tmp_path)
    names = {path.name for path in report.figures}
    assert names == {"retraining_nasbench201_digits.png", "retraining_nasbench201_my_module_cats.png"}
    assert "## nasbench201 on my_module:cats" in report.summary.read_text()


def test_the_best_of_two_tasks_is_not_defined(tmp_path):
    trials = {
        "aaaaa_00000": search_reports("asng", 0),
        "aaaaa_00001": changed(search_reports("asng", 0), task="my_module:cats"),
    }
    with pytest.raises(ValueError, match="several spaces or tasks"):
        best_search(table_of(tmp_path, trials))


def test_no_best_search_is_an_error_that_says_so(tmp_path):
    write_trial(tmp_path / "exp", "aaaaa_00000", retraining_reports("asng", 0))
    with pytest.raises(ValueError, match="finish a search first"):
        best_search(collect(tmp_path / "exp"))


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="ray-asng collect"):
        write_report(tmp_path)


def test_the_terminal_table_is_aligned(full):
    lines = full[1].table.splitlines()
    header, rule = lines[1], lines[2]
    starts = [index for index, mark in enumerate(rule) if mark == "-" and (index == 0 or rule[index - 1] == " ")]
    for line in (header, *lines[3:7]):
        assert all(line[start] != " " and line[start - 1] == " " for start in starts[1:])


def test_the_terminal_table_of_nothing_says_so(tmp_path):
    write_trial(tmp_path / "exp", "aaaaa_00000", [])
    assert terminal_table(collect(tmp_path / "exp")) == "no search and no retraining has reported yet"


def test_with_a_table_its_truth_comes_first_and_every_kind_of_result_has_its_section(tmp_path):
    table = study(24, settings=("", "initial_step=0.3", "initial_step=3"), columns=truths)
    blocks = content(table, no_file)
    titles = [block.text for block in blocks if isinstance(block, Heading)]
    expected = [
        "What the found architectures are worth",
        "How much the methods depend on their settings",
        "Methods",
        "Found architectures",
        "How it was made",
    ]
    assert [title for title in titles if title in expected] == expected
    assert {block.path for block in blocks if isinstance(block, Picture)} > {
        f"figures/{name}_nasbench201_digits.png" for name in ("anytime", "rank_correlation", "sensitivity")
    }
    assert "nothing was retrained yet" not in notes_of(table)


def test_without_a_table_nothing_is_said_of_one(full):
    assert "What the found architectures are worth" not in full[2]
    assert "ublished" not in full[2]


@pytest.mark.parametrize(("method", "count"), [("asng", 1), ("random_architecture", 1), ("hand_made", 3)])
def test_retrainings_of_one_child_are_one_value_but_for_the_hand_made_one(tmp_path, method, count):
    child = retraining_reports(method, -1)[0]["architecture"]
    trials = {f"bbbbb_0000{seed}": retraining_reports(method, -1, seed, architecture=child) for seed in range(3)}
    (ground,) = grounds(table_of(tmp_path, trials))
    values = child_values(ground.retrainings[method], "test_accuracy")
    last = [reports[-1]["test_accuracy"] for reports in trials.values()]
    assert len(values) == count
    assert np.mean(list(values.values())) == pytest.approx(np.mean(last))
