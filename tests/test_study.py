"""Study files: which trials they stand for, and with which words and lines they are refused."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from ray_asng.cli import main
from ray_asng.study.plan import load_study, sizes
from ray_asng.study.source import find_study, read_source, ready_studies

WHOLE = """\
about: Whether it matters.
seeds: [3, 5]
config:
  epochs: 20
  space_options: {width: 4}
methods:
  asng: {}
  gaea (ERM): {method: gaea, method_options: {split: train}}
spaces:
  nasbench201:
  no zero: {space: nasbench201, space_options: {operations: [skip_connect, nor_conv_3x3]}}
tasks: [digits]
settings: {default: {}, long: {epochs: 40}}
sweeps:
  - {methods: [asng], key: method_options.initial_step, values: [0.1, 3]}
  - {key: lr, values: [1e-2, 0.025]}
sizes:
  smoke: {seeds: 1, config: {epochs: 2, space_options: {cells: 1}}, methods: [asng], sweeps: []}
  other: {methods: {asng: {lr: 0.5}}, settings: [default], spaces: [nasbench201]}
"""


def study(tmp_path, text, *arguments, name="mine.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return load_study(path, *arguments)


def named(combinations):
    return {combination.name: combination.config(seed=0) for combination in combinations}


def test_methods_spaces_tasks_and_settings_are_crossed(tmp_path):
    plain = [each for each in study(tmp_path, WHOLE).combinations if not each.setting]
    labels = ["asng", "gaea (ERM)", "asng, long", "gaea (ERM), long"]
    without_zero = ["asng, no zero", "gaea (ERM), no zero", "asng, no zero, long", "gaea (ERM), no zero, long"]
    assert [each.label for each in plain] == labels + without_zero


def test_all_that_one_seed_runs_comes_before_the_next_seed(tmp_path):
    planned = study(tmp_path, WHOLE)
    count = len(planned.combinations)
    assert [trial["seed"] for trial in planned.trials] == [3] * count + [5] * count
    first, second = planned.trials[:count], planned.trials[count:]
    assert [{**trial, "seed": 5} for trial in first] == second


def test_a_config_is_put_together_from_its_parts_option_by_option(tmp_path):
    config = named(study(tmp_path, WHOLE).combinations)["gaea (ERM), no zero, long"]
    assert config == {
        "epochs": 40,
        "method": "gaea",
        "method_options": {"split": "train"},
        "space": "nasbench201",
        "space_options": {"width": 4, "operations": ["skip_connect", "nor_conv_3x3"]},
        "task": "digits",
        "seed": 0,
        "label": "gaea (ERM), no zero, long",
        "setting": "",
    }


def test_a_sweep_varies_one_key_of_its_methods_around_each_combination(tmp_path):
    swept = [each for each in study(tmp_path, WHOLE).combinations if "initial_step" in each.setting]
    assert {each.label for each in swept} == {"asng", "asng, long", "asng, no zero", "asng, no zero, long"}
    assert [each.config(0)["method_options"] for each in swept[:2]] == [{"initial_step": 0.1}, {"initial_step": 3}]
    assert swept[0].setting == "method_options.initial_step=0.1"


def test_a_value_of_a_sweep_that_is_the_default_is_not_run_again(tmp_path):
    """0.025 is the default of lr, though no part of the file says so."""
    settings = {each.setting for each in study(tmp_path, WHOLE).combinations if each.setting.startswith("lr")}
    assert settings == {"lr=0.01"}


def test_a_size_goes_over_the_study(tmp_path):
    smoke = study(tmp_path, WHOLE, "smoke")
    assert smoke.seeds == (0,)
    assert list(named(smoke.combinations)) == ["asng", "asng, long", "asng, no zero", "asng, no zero, long"]
    config = smoke.combinations[0].config(0)
    assert (config["epochs"], config["space_options"]) == (2, {"width": 4, "cells": 1})


def test_a_list_in_a_size_chooses_entries_and_a_mapping_changes_them(tmp_path):
    other = named(each for each in study(tmp_path, WHOLE, "other").combinations if not each.setting)
    assert list(other) == ["asng", "gaea (ERM)"]
    assert other["asng"]["lr"] == 0.5
    assert "lr" not in other["gaea (ERM)"]


def test_what_is_given_beside_the_file_goes_over_all_but_sweeps(tmp_path):
    given = {"lr": 0.7, "epochs": 3, "space_options": {"width": 8}}
    trials = study(tmp_path, WHOLE.replace("settings: {default: {}, long: {epochs: 40}}\n", ""), None, given).trials
    assert {trial["epochs"] for trial in trials} == {3}
    assert {trial["space_options"]["width"] for trial in trials} == {8}
    assert {trial["lr"] for trial in trials} == {0.7, 0.01, 0.025}


def test_seeds_are_a_number_or_a_list_or_one(tmp_path):
    assert study(tmp_path, "methods: [asng]\nseeds: 3").seeds == (0, 1, 2)
    assert study(tmp_path, "methods: [asng]\nseeds: [4, 2]").seeds == (4, 2)
    assert study(tmp_path, "methods: [asng]").seeds == (0,)


def test_two_spaces_that_reports_tell_apart_leave_labels_alone(tmp_path):
    text = (
        "methods: [asng]\ntasks: {digits: {}, large: {task: digits, task_options: {size: 16}}}\nspaces: [nasbench201]"
    )
    assert list(named(study(tmp_path, text).combinations)) == ["asng", "asng, large"]


def test_a_number_with_an_exponent_is_a_number(tmp_path):
    text = "methods: [asng]\nconfig: {lr: 1e-3, weight_decay: 5E-4, grad_clip: 1.5e1}"
    config = study(tmp_path, text).combinations[0].config(0)
    assert (config["lr"], config["weight_decay"], config["grad_clip"]) == (0.001, 0.0005, 15.0)


REFUSED = [
    ("methods: [asgn]", 1, ["unknown method 'asgn'", "did you mean 'asng'?"]),
    ("methods:\n  asng:\n  mine: {method: asgn}", 3, ["mine: unknown method 'asgn'"]),
    ("config: {}\nmethods:\n  asng:\n  gaea (ERM):", 4, ["unknown method 'gaea (ERM)'", "did you mean 'gaea'?"]),
    ("methods: [asng]\nspaces:\n- nasbench201\n- nasbench", 4, ["unknown space 'nasbench'"]),
    ("methods: [asng]\ntasks: [digit]", 2, ["unknown task 'digit'", "did you mean 'digits'?"]),
    ("methods: [asng]\nmethod: asng", 2, ["unknown key 'method'", "did you mean 'methods'?"]),
    ("methods: [asng]\nconfig:\n  epochs: 3\n  epoch: 3", 4, ["unknown config key 'epoch'", "'epochs'"]),
    ("methods: [asng]\nconfig:\n  lr: 0.1\n  epochs: -1", 4, ["epochs must be a whole number from 1, got -1"]),
    (
        "methods:\n  asng:\n    method_options:\n      initial_stp: 1",
        4,
        ["unknown option 'initial_stp'", "did you mean 'initial_step'?"],
    ),
    ("methods:\n  asng:\n    lr: 0.1\n    lr: 0.2", 4, ["'lr' stands here for the second time"]),
    ("methods:\n- asng\n- darts\n- asng", 4, ["'asng' stands twice among the methods"]),
    ("methods:\n  asng:\n  again: {method: asng}", 3, ["again is the same trial as asng", "leave one of them out"]),
    ("methods: [asng]\nsettings:\n  default:\n  lr: {lr: 0.025}", 4, ["asng, lr is the same trial as asng"]),
    (
        "methods: [asng]\nsweeps:\n- {key: lr, values: [0.1]}\n- key: lr\n  values:\n  - 0.2\n  - 0.1",
        7,
        ["asng, lr=0.1 is the same trial as asng, lr=0.1"],
    ),
    (
        "methods: [asng]\nsweeps:\n- methods:\n  - darts\n  key: lr\n  values: [1]",
        4,
        ["'darts', which the study has not"],
    ),
    (
        "methods: [asng]\nsweeps:\n- key: lr\n  values:\n  - 0.1\n  - -1",
        6,
        ["asng, lr=-1: lr must be", "above 0, got -1"],
    ),
    ("methods: [asng]\nsweeps:\n- key: seed\n  values: [1]", 3, ["a sweep needs a `key`, such as lr", "'seed'"]),
    ("methods: [asng]\nsweeps:\n- key: lr\n  values: []", 4, ["a sweep needs a list of `values`, got []"]),
    ("methods: [asng]\nsweeps:\n- key: lr\n  value: [1]", 4, ["unknown key 'value'", "did you mean 'values'?"]),
    ("seeds: 2\nmethods: []", 2, ["methods is a list of names or a mapping", "got []"]),
    ("methods: [asng]\nseeds: []", 2, ["seeds is a whole number from 1, or a list", "got []"]),
    ("methods: [asng]\nseeds: [1, 1]", 2, ["different whole numbers", "got [1, 1]"]),
    ("methods: [asng]\nseeds: 0", 2, ["seeds is a whole number from 1", "got 0"]),
    ("methods: [asng]\nconfig:\n  seed: 3", 3, ["'seed' is not set here"]),
    ("methods: [asng]\nconfig: 3", 2, ["config is a mapping", "got 3"]),
    ("methods: [asng]\ntasks:\n- 3", 3, ["texts, got 3", "put it in quotes"]),
    ("seeds: 3", 1, ["a study needs `methods`"]),
    ("methods: [asng\nseeds: 3", 2, ["this is not YAML"]),
    ("methods: [asng]\nconfig:\n  table: nasbench2", 3, ["unknown table 'nasbench2'"]),
    ("methods: [asng]\nconfig:\n  epochs: 2\n  warmup_epochs: 5", 4, ["warmup_epochs must be from 0 to epochs=2"]),
    ("methods: [asng]\ntasks:\n  digits:\n    task_options: {sise: 16}", 4, ["unknown option 'sise'"]),
]


@pytest.mark.parametrize(("text", "line", "words"), REFUSED, ids=[words[0] for _, _, words in REFUSED])
def test_a_bad_study_is_refused_with_its_line(tmp_path, text, line, words):
    with pytest.raises(ValueError, match=r"mine.yaml:\d+: ") as caught:
        study(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'mine.yaml'}:{line}: ")
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("size", "line", "words"),
    [
        ("smok", 17, ["unknown size 'smok'", "did you mean 'smoke'?"]),
        ("bad", 20, ["the study has no 'darts' among its methods"]),
        ("worse", 21, ["unknown key 'sizes'"]),
        ("worst", 22, ["unknown config key 'epoch'"]),
    ],
)
def test_a_bad_size_is_refused_with_its_line(tmp_path, size, line, words):
    extra = "  bad: {methods: {darts: {lr: 1}}}\n  worse: {sizes: {}}\n  worst: {config: {epoch: 2}}\n"
    with pytest.raises(ValueError, match=r"mine.yaml:\d+: ") as caught:
        study(tmp_path, WHOLE + extra, size)
    assert str(caught.value).startswith(f"{tmp_path / 'mine.yaml'}:{line}: ")
    assert [word for word in words if word not in str(caught.value)] == []


def test_what_is_given_and_wrong_is_called_so(tmp_path):
    with pytest.raises(ValueError, match=r"^given lr=-1: asng: lr must be a finite number above 0, got -1"):
        study(tmp_path, "methods: [asng]", None, {"lr": -1})
    with pytest.raises(ValueError, match="'method' is not given beside a study"):
        study(tmp_path, "methods: [asng]", None, {"method": "darts"})


def test_a_study_in_python_may_hold_functions(tmp_path):
    text = """
def half(**options):
    from ray_asng.tasks import digits
    return digits(**options, train_fraction=0.25)
STUDY = {"methods": ["asng"], "tasks": {"half": {"task": half}}, "seeds": 2}
"""
    planned = study(tmp_path, text, name="mine.py")
    assert [trial["seed"] for trial in planned.trials] == [0, 1]
    assert planned.trials[0]["task"].__name__ == "half"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("STUDY = {'methods': ['asgn']}", r"mine\.py: asgn: unknown method 'asgn'"),
        ("study = {}", r"mine\.py: a study in Python defines a dict STUDY, got None"),
        ("STUDY = {", r"mine\.py:1: "),
    ],
)
def test_a_bad_study_in_python_is_refused_with_its_file(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        study(tmp_path, text, name="mine.py")


def test_a_file_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"mine\.json: a study file is YAML"):
        study(tmp_path, "{}", name="mine.json")


def test_a_ready_study_is_found_by_its_name_and_others_are_refused_with_the_names():
    assert find_study("sensitivity") == ready_studies()["sensitivity"]
    with pytest.raises(FileNotFoundError, match="no ready study of that name; did you mean 'sensitivity'"):
        find_study("sensitivty")


@pytest.mark.parametrize("name", ready_studies())
def test_a_ready_study_has_the_three_sizes_and_each_is_possible(name):
    path = ready_studies()[name]
    assert sizes(read_source(path)) == ["smoke", "laptop", "paper"]
    for size in ("smoke", "laptop", "paper"):
        assert load_study(path, size).trials
    assert load_study(path, "laptop").trials == load_study(path).trials


def passes_with_ranking(trial):
    """Those of the training, and those of the candidates that two methods rank at the end."""
    options = trial.get("method_options", {})
    batches = {"rsps": options.get("batches"), "random_search": 2048 // trial["batch_size"]}
    ranking = options["candidates"] * batches[trial["method"]] if "candidates" in options else 0
    return trial["epochs"] * trial["passes_per_epoch"] + ranking


def test_the_comparison_has_eight_methods_at_equal_passes_and_the_table():
    planned = load_study(ready_studies()["nasbench201_oneshot"])
    methods = {"asng", "sng", "darts", "gdas", "gaea", "drnas", "rsps", "random_search"}
    assert {trial["method"] for trial in planned.trials} == methods
    assert {passes_with_ranking(trial) for trial in planned.trials} == {28_000}
    assert {trial["table"] for trial in planned.trials} == {"nasbench201"}
    assert len(planned.seeds) == 5


def test_the_sweep_of_the_step_spans_two_decades_around_the_default():
    combinations = load_study(ready_studies()["sensitivity"]).combinations
    for method, key in (("asng", "initial_step"), ("darts", "learning_rate"), ("gaea", "learning_rate")):
        own, *varied = [
            each.config(0)["method_options"][key]
            for each in combinations
            if each.label == method and (not each.setting or key in each.setting)
        ]
        assert len(varied) == 4
        assert max(varied) / min(varied) == pytest.approx(100)
        assert min(varied) < own < max(varied)


def test_reading_study_files_loads_neither_torch_nor_ray():
    code = "import sys, ray_asng.study.plan; print(*({'torch', 'ray', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout.split()
    assert "ray" not in done.stdout.split()


def invoke(*arguments):
    return CliRunner().invoke(main, ["study", *map(str, arguments)])


ON_INTEGERS = """
from ray_asng import Integer, SearchSpace
from ray_asng.optimizers import DARTS

def darts_on_a_width_too(space, seed):
    return DARTS(SearchSpace([*space.decisions, Integer("width", 1, 64)]), seed=seed)

STUDY = {
    "config": {"space_options": {"width": 4, "cells": 1}},
    "methods": {"asng": None, "mixed": {"method": darts_on_a_width_too}},
}
"""


def test_a_mixing_method_on_integer_decisions_is_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(ON_INTEGERS)
    result = invoke(path, "--output", tmp_path / "out")
    assert result.exit_code == 1
    expected = f"Error: {path}: mixed: darts takes categorical decisions only; ['width'] are numeric. Use asng"
    assert result.output.startswith(expected), result.output
    assert not (tmp_path / "out").exists()


def test_what_only_shows_when_a_search_is_built_is_refused_with_its_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("methods:\n- asng\nsweeps:\n- key: batch_size\n  values:\n  - 32\n  - 100000")
    result = invoke(path, "--dry-run", "--set", 'space_options={"width": 4, "cells": 1}')
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {path}:7: asng, batch_size=100000: "), result.output


def test_a_bad_study_is_one_line_on_the_command_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("methods: [asng]\nconfig: {epoch: 3}")
    result = invoke(path, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {path}:2: asng: unknown config key 'epoch'")
    assert result.output.count("\n") == 1


def test_a_dry_run_shows_the_trials_and_writes_nothing(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "seeds: 3\nmethods: [asng, darts]\ntasks: [digits]\n"
        "config: {epochs: 2, steps_per_epoch: 4, space_options: {width: 4, cells: 1}}\n"
        "sweeps: [{methods: [asng], key: samples, values: [4]}]\n"
    )
    result = invoke(path, "--dry-run")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()]
    # Of ASNG 2 paths forward and backward on the training batch, 2 forward on the other; of DARTS 5 options in each.
    assert rows[1] == ["asng", "nasbench201", "digits", "2", str(2 * 4 * (2 + 2 + 2))]
    assert rows[2] == ["darts", "nasbench201", "digits", "2", str(2 * 4 * 4 * 5)]
    assert rows[3] == ["asng", "samples=4", "nasbench201", "digits", "2", str(2 * 4 * (4 + 4 + 4))]
    assert "9 trials: 3 of each of the seeds 0, 1, 2" in result.output
    assert [each.name for each in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_missing_table_is_said_before_anything_is_written(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("methods: [asng]\nconfig: {table: nasbench201, space_options: {width: 4, cells: 1}}")
    result = invoke(path, "--output", tmp_path / "out", "--data-dir", tmp_path)
    assert result.exit_code == 1
    assert f"there is no NAS-Bench-201 table {tmp_path / 'nasbench201.parquet'}" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name FILE and --output"),
        (["sensitivity"], "name --output"),
        (["--output", "out"], "name FILE"),
        (["sensitivity", "--output", "out", "--resume"], "leave out file"),
        (["--output", "out", "--resume", "--size", "paper"], "leave out --smoke, --size"),
    ],
)
def test_a_command_that_says_too_little_or_too_much_is_refused(arguments, words):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert words in result.output


def test_resuming_where_no_study_was_begun_is_refused(tmp_path):
    result = invoke("--output", tmp_path / "out", "--resume")
    assert result.exit_code == 1
    assert "holds no study to resume (no study.json)" in result.output


def test_the_files_of_a_study_are_not_overwritten_unasked(tmp_path):
    (tmp_path / "study.json").write_text(json.dumps({}))
    result = invoke("sensitivity", "--smoke", "--output", tmp_path)
    assert result.exit_code == 1
    assert "already holds study.json" in result.output


def test_the_ready_studies_are_listed_with_a_line_on_each():
    result = CliRunner().invoke(main, ["list"])
    listed = [line.split(maxsplit=1) for line in result.output.partition("studies\n")[2].splitlines()]
    assert [name for name, _ in listed] == list(ready_studies())
    assert all(len(about) > 40 for _, about in listed)
