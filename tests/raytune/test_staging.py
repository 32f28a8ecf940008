"""A driver killed in the midst of copying its files leaves an experiment that can be made whole again."""

import json
import os
import pickle

import pytest

from ray_asng.raytune.staging import finish_copy

STATE = "experiment_state-2026-01-01_00-00-00.json"
SEARCHER = "basic-variant-state-2026-01-01_00-00-00.json"


def write_driver_files(folder, trial="trial_a", epoch=3):
    """What Tune's driver writes of an experiment with one trial."""
    (folder / trial).mkdir(parents=True)
    state = {"trial_data": [[json.dumps({"relative_logdir": trial}), json.dumps({"epoch": epoch})]]}
    (folder / STATE).write_text(json.dumps(state))
    (folder / SEARCHER).write_bytes(pickle.dumps({"epoch": epoch}))
    (folder / "tuner.pkl").write_bytes(pickle.dumps("tuner"))
    (folder / trial / "result.json").write_text("".join(f"{row}\n" for row in range(epoch)))


@pytest.fixture
def experiment(tmp_path):
    folder = tmp_path / "results" / "mine"
    write_driver_files(folder)
    (folder / "trial_a" / "checkpoint_000000").mkdir()
    (folder / "trial_a" / "checkpoint_000000" / "search.pt").write_bytes(b"state")
    return folder


def staged(tmp_path, session, **content):
    folder = tmp_path / "ray" / f"session_{session}" / "artifacts" / "2026" / "mine" / "driver_artifacts"
    write_driver_files(folder, **content)
    return folder


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_whole_experiment_stays_as_it_is(experiment, tmp_path):
    staged(tmp_path, 1, epoch=5)
    before = files(experiment)
    assert finish_copy(experiment, tmp_path / "ray") == []
    assert files(experiment) == before


@pytest.mark.parametrize("name", [STATE, SEARCHER, "tuner.pkl"])
@pytest.mark.parametrize("kept", [0, 10])
def test_after_a_torn_copy_all_of_the_drivers_files_are_taken_again(experiment, tmp_path, name, kept):
    source = staged(tmp_path, 1, epoch=5)
    (experiment / name).write_bytes((experiment / name).read_bytes()[:kept])
    (experiment / "trial_a" / "result.json").write_text("")
    assert finish_copy(experiment, tmp_path / "ray") == [experiment / name]
    copied = files(experiment)
    assert {path: copied[path] for path in files(source)} == files(source)
    assert (experiment / "trial_a" / "checkpoint_000000" / "search.pt").read_bytes() == b"state"
    assert finish_copy(experiment, tmp_path / "ray") == []


def test_the_newest_session_with_the_trials_of_the_experiment_counts(experiment, tmp_path):
    for moment, content in enumerate(({"epoch": 4}, {"epoch": 6}, {"epoch": 9, "trial": "trial_of_another"})):
        source = staged(tmp_path, moment, **content)
        os.utime(source / STATE, (moment, moment))
    torn = staged(tmp_path, 3, epoch=8)
    (torn / STATE).write_text("{")
    (experiment / STATE).write_text("")
    finish_copy(experiment, tmp_path / "ray")
    (trial,) = json.loads((experiment / STATE).read_text())["trial_data"]
    assert json.loads(trial[1])["epoch"] == 6


def test_without_a_copy_here_the_error_says_where_it_is_and_what_is_left(experiment, tmp_path):
    (experiment / STATE).write_text("")
    with pytest.raises(ValueError, match=r"(?s)is damaged.*not in .*ray on this machine.*driver's machine.*collect"):
        finish_copy(experiment, tmp_path / "ray")
