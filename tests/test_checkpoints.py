"""Damaged checkpoints: that they are found, that the error names the way out, and that the way leads out.

The experiments that are repaired are real ones of Ray Tune, with real checkpoints that were cut or changed.
"""

import json
import logging
import os
import shutil
from pathlib import Path

import pytest
import torch

from ray_asng.checkpoints import (
    REPORTS_FILE,
    checkpoints,
    damage,
    damage_of_folder,
    experiment_of,
    newest_good,
    set_aside,
)
from ray_asng.raytune.state_file import load_state, save_state
from ray_asng.results.collect import collect
from ray_asng.results.schema import failed_trials

STATE = {"format": 1, "weights": {"a": torch.arange(3000.0), "b": torch.ones(7)}, "epoch": 3, "words": ["x"] * 50}


def write_checkpoints(trial, count=3):
    for index in range(count):
        folder = trial / f"checkpoint_{index:06d}"
        folder.mkdir(parents=True)
        save_state({**STATE, "epoch": index}, folder / "search.pt")
    return checkpoints(trial)


def cut(file, size):
    """Keep the first `size` bytes; of a negative one, all but the last."""
    file.write_bytes(file.read_bytes()[:size])


def flip(file, place):
    """Change one bit of the byte at a place from 0 to 1, as a part of the length."""
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 4
    file.write_bytes(content)


@pytest.fixture
def file(tmp_path):
    save_state(STATE, tmp_path / "search.pt")
    return tmp_path / "search.pt"


def test_what_is_saved_is_whole_and_alone_in_its_folder(file):
    assert damage(file) is None
    assert [path.name for path in file.parent.iterdir()] == ["search.pt"]
    assert torch.equal(load_state(file)["weights"]["a"], STATE["weights"]["a"])


def test_a_save_that_breaks_off_leaves_the_older_file_whole(file):
    class Breaks:
        def __reduce__(self):
            raise KeyboardInterrupt

    before = file.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        save_state({"weights": torch.ones(1000), "then": Breaks()}, file)
    assert file.read_bytes() == before


@pytest.mark.parametrize("size", [0, 1, 100, 6000, -2000, -300, -22, -1])
def test_a_truncated_file_is_damaged(file, size):
    cut(file, size)
    assert damage(file)


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7])
def test_one_changed_bit_of_the_content_is_damage_that_torch_would_load(file, place):
    flip(file, place)
    torch.load(file, weights_only=True)
    assert "check sum" in damage(file)


def test_a_file_of_zeros_as_a_crashed_machine_leaves_it_is_damaged(file):
    file.write_bytes(bytes(file.stat().st_size))
    assert damage(file)


def test_a_zip_that_torch_did_not_write_is_no_checkpoint(tmp_path):
    shutil.make_archive(str(tmp_path / "made"), "zip", Path(__file__).parent / "tasks")
    assert damage(tmp_path / "made.zip")


def test_the_newest_good_checkpoint_is_before_the_damaged_ones(tmp_path):
    folders = write_checkpoints(tmp_path)
    assert newest_good(tmp_path) == folders[2]
    cut(folders[2] / "search.pt", -100)
    assert newest_good(tmp_path) == folders[1]
    flip(folders[1] / "search.pt", 0.5)
    assert newest_good(tmp_path) == folders[0]
    (folders[0] / "search.pt").unlink()
    assert newest_good(tmp_path) is None


def test_checkpoints_are_ordered_by_number_and_nothing_else_is_one(tmp_path):
    for name in ("checkpoint_1000000", "checkpoint_000009", "checkpoint_999999", "damaged_checkpoint_000010"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint_tmp").mkdir()
    names = [path.name for path in checkpoints(tmp_path)]
    assert names == ["checkpoint_000009", "checkpoint_999999", "checkpoint_1000000"]


def test_the_checkpoint_of_another_trainable_is_not_judged(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    assert damage_of_folder(tmp_path) is None


def test_reports_without_a_state_are_no_checkpoint_and_a_state_with_damaged_reports_is_one(tmp_path):
    (folder,) = write_checkpoints(tmp_path, 1)
    (folder / REPORTS_FILE).write_bytes(b"half of a fi")
    assert newest_good(tmp_path) == folder
    (folder / "search.pt").unlink()
    assert newest_good(tmp_path) is None


def test_a_checkpoint_that_is_set_aside_keeps_its_content_and_replaces_none(tmp_path):
    for _ in range(2):
        (folder, *_) = write_checkpoints(tmp_path, 1)
        aside = set_aside(folder)
        assert load_state(aside / "search.pt")["epoch"] == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "damaged_checkpoint_000000",
        "damaged_checkpoint_000000_2",
    }


@pytest.mark.parametrize(("command", "file"), [("search", "job.json"), ("study", "study.json")])
def test_loading_a_damaged_checkpoint_names_the_file_and_the_commands_that_help(tmp_path, command, file):
    experiment = tmp_path / "my runs" / "tune" / command
    (folder, *_) = write_checkpoints(experiment / "trial", 1)
    (tmp_path / "my runs" / file).touch()
    cut(folder / "search.pt", -100)
    with pytest.raises(ValueError, match="truncated") as caught:
        load_state(folder / "search.pt")
    text = str(caught.value)
    assert str(folder / "search.pt") in text
    assert f"`ray-asng repair '{experiment}'` restores the newest good checkpoint" in text
    assert f"go on with: ray-asng {command} --output '{tmp_path / 'my runs'}' --resume" in text


def test_loading_a_damaged_file_of_elsewhere_names_the_command_with_a_placeholder(file):
    cut(file, -100)
    assert experiment_of(file) is None
    with pytest.raises(ValueError, match="ray-asng repair EXPERIMENT"):
        load_state(file)


# The digits need no folder of data, so its name can tell trials of one seed apart: those that are disturbed, and those
# that they shall equal in the end.
SMALL = {"space_options": {"width": 4, "cells": 1}, "steps_per_epoch": 2, "batch_size": 16, "epochs": 5}
FAILS, ENDS, LOSES_ALL, IS_STOPPED = range(4)  # seeds


def failing(mended):
    """Searches of which one fails in its fourth epoch until the file `mended` is there."""
    from ray_asng import SearchTrainable

    class Failing(SearchTrainable):
        def step(self):
            is_disturbed = self.config["data_dir"] == "disturbed" and not mended.exists()
            if is_disturbed and self.resolved.seed == FAILS and self.search.epoch == 3:
                raise RuntimeError("lost the device")
            return super().step()

    return Failing


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """An experiment of which one search has failed, and its trainable, which fails no more."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = pytest.importorskip("ray")
    from ray import tune

    started = not ray.is_initialized()
    if started:
        ray.init(include_dashboard=False, num_cpus=2, log_to_driver=False, logging_level=logging.ERROR)
    folder = tmp_path_factory.mktemp("interrupted")
    trainable = failing(folder / "mended")
    seeds = tune.grid_search([FAILS, ENDS, LOSES_ALL, IS_STOPPED])
    grid = tune.Tuner(
        trainable,
        param_space={**SMALL, "data_dir": tune.grid_search(["calm", "disturbed"]), "seed": seeds},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(
            name="exp",
            storage_path=str(folder),
            verbose=0,
            stop=lambda trial, result: result["seed"] == IS_STOPPED and result["epoch"] >= 3,
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, num_to_keep=3, checkpoint_at_end=True),
        ),
    ).fit()
    assert grid.num_errors == 1
    (folder / "mended").touch()
    yield folder / "exp", trainable
    if started:
        ray.shutdown()


def trial(experiment, seed, kind="disturbed"):
    return next(experiment.glob(f"*_data_dir={kind},seed={seed}_*"))


def resume(experiment, trainable):
    from ray import tune

    return tune.Tuner.restore(str(experiment), trainable, resume_unfinished=True, resume_errored=True).fit()


def rows(experiment, kind="disturbed"):
    """The results of trials of a kind without times, rates and memory."""
    varying = ["trial", "config_json", "samples_per_second", "wall_seconds", "device_seconds", "peak_memory_bytes"]
    table = collect(experiment)
    are_meant = [Path(json.loads(text)["data_dir"]).name == kind for text in table["config_json"].to_pylist()]
    found = table.filter(are_meant).drop_columns(varying).to_pylist()
    return sorted(found, key=lambda row: (row["seed"], row["iteration"]))


def newest_state(experiment, seed, kind):
    return load_state(checkpoints(trial(experiment, seed, kind))[-1] / "search.pt")


@pytest.fixture(scope="module")
def repaired(interrupted, tmp_path_factory):
    """A copy of the interrupted experiment whose checkpoints were damaged, and what repairing said."""
    from ray_asng.raytune.repair import repair

    # Another name: within a session Tune puts resumed experiments of one name and time into one place.
    experiment = tmp_path_factory.mktemp("moved") / "repaired"
    shutil.copytree(interrupted[0], experiment)
    cut(checkpoints(trial(experiment, FAILS))[-1] / "search.pt", -500)
    flip(checkpoints(trial(experiment, ENDS))[-1] / "search.pt", 0.5)
    cut(checkpoints(trial(experiment, ENDS))[-2] / "search.pt", 0)
    for folder in checkpoints(trial(experiment, LOSES_ALL)):
        cut(folder / "search.pt", 1000)
    cut(checkpoints(trial(experiment, IS_STOPPED))[-1] / "search.pt", -500)
    before = next(experiment.glob("experiment_state-*.json")).read_text()
    return experiment, repair(experiment), before


@pytest.mark.ray
def test_a_failed_trial_is_listed_with_its_newest_good_checkpoint(interrupted):
    (failure,) = failed_trials(collect(interrupted[0]))
    assert (failure.seed, failure.epoch, failure.column) == (FAILS, 3, "path_accuracy")
    assert failure.checkpoint == "checkpoint_000002"
    assert failure.value == rows(interrupted[0])[2]["path_accuracy"]


@pytest.mark.ray
def test_an_experiment_without_damage_is_left_as_it_is(interrupted):
    from ray_asng.raytune.repair import repair

    before = {path: path.stat().st_mtime_ns for path in interrupted[0].rglob("*")}
    done = repair(interrupted[0])
    assert done.backup is None
    assert len(done.lines) == 8
    assert all("no damage" in line for line in done.lines)
    assert {path: path.stat().st_mtime_ns for path in interrupted[0].rglob("*")} == before


@pytest.mark.ray
def test_repairing_says_of_each_trial_what_is_wrong_and_from_where_it_goes_on(repaired):
    lines = [next(line for line in repaired[1].lines if f"=disturbed,seed={seed}_" in line) for seed in range(4)]
    assert "checkpoint_000002: search.pt is truncated" in lines[FAILS]
    assert "it will go on from checkpoint_000001 (iteration 2)" in lines[FAILS]
    assert "wrong check sum" in lines[ENDS]
    assert "it will run its end again from checkpoint_000002 (iteration 3)" in lines[ENDS]
    assert "it will start anew" in lines[LOSES_ALL]
    assert "it has ended, newest good checkpoint: checkpoint_000001 (iteration 2)" in lines[IS_STOPPED]


@pytest.mark.ray
def test_repairing_removes_nothing(repaired, interrupted):
    experiment, done, before = repaired
    assert done.backup.read_text() == before
    for seed in range(4):
        names = {path.name.removeprefix("damaged_") for path in trial(experiment, seed).iterdir()}
        assert {folder.name for folder in checkpoints(trial(interrupted[0], seed))} <= names


@pytest.mark.ray
def test_a_repaired_experiment_ends_like_an_undisturbed_one(repaired, interrupted):
    """Rows, each once; weights; and Tune's own count of iterations."""
    experiment, _, _ = repaired
    grid = resume(experiment, interrupted[1])
    assert grid.num_errors == 0
    assert rows(experiment, "disturbed") == rows(experiment, "calm")
    assert [row["iteration"] for row in rows(experiment)] == [*range(1, 6)] * 3 + [1, 2, 3]
    for result in grid:
        assert result.metrics["training_iteration"] == result.metrics["epoch"]
    for seed in (FAILS, ENDS, LOSES_ALL):
        ours, theirs = newest_state(experiment, seed, "disturbed"), newest_state(experiment, seed, "calm")
        assert all(torch.equal(ours["supernet"][name], weight) for name, weight in theirs["supernet"].items())
        assert ours["evaluations"] == theirs["evaluations"]


@pytest.mark.ray
def test_without_repair_the_error_of_the_trial_says_what_to_do(interrupted, tmp_path):
    experiment = tmp_path / "left_damaged"
    shutil.copytree(interrupted[0], experiment)
    cut(checkpoints(trial(experiment, FAILS))[-1] / "search.pt", -500)
    (error,) = resume(experiment, interrupted[1]).errors
    assert f"`ray-asng repair {experiment}`" in str(error)
    assert "checkpoint_000002/search.pt is truncated or damaged" in failed_trials(collect(experiment))[0].error


@pytest.mark.ray
@pytest.mark.parametrize(
    ("content", "words"),
    [('{"trial_data": [["{', "is damaged.*ray-asng collect"), (None, "no state file of Ray Tune.*ray-asng collect")],
)
def test_an_experiment_that_tune_cannot_read_either_is_refused(interrupted, tmp_path, content, words):
    from ray_asng.raytune.repair import repair

    # Under another name, so that Ray's own copy of it is not found.
    shutil.copytree(interrupted[0], tmp_path / "moved")
    for state in (tmp_path / "moved").glob("experiment_state-*.json"):
        state.unlink() if content is None else state.write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        repair(tmp_path / "moved")


@pytest.mark.ray
def test_a_module_of_the_users_that_is_not_found_is_named_with_the_remedy(interrupted, tmp_path):
    from ray_asng.raytune.repair import repair

    shutil.copytree(interrupted[0], tmp_path / "exp")
    (path,) = (tmp_path / "exp").glob("experiment_state-*.json")
    state = json.loads(path.read_text())
    progress = json.loads(state["trial_data"][0][1])
    progress["checkpoint_manager"]["value"] = b"cmy_lost_module\nbuild\n.".hex()
    state["trial_data"][0][1] = json.dumps(progress)
    path.write_text(json.dumps(state))
    with pytest.raises(ValueError, match=r"'my_lost_module'.*PYTHONPATH"):
        repair(tmp_path / "exp")
