from pathlib import Path

import pytest

from ray_asng.tasks.folders import cache_folder, data_file, data_folder


def test_decoded_copies_go_to_the_folder_of_the_variable_or_the_home_folder(monkeypatch):
    monkeypatch.setenv("RAY_ASNG_CACHE", "/somewhere/cache")
    assert cache_folder() == Path("/somewhere/cache")
    monkeypatch.delenv("RAY_ASNG_CACHE")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/ray_asng")


def test_data_are_looked_for_in_data_dir_then_the_variable_then_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("RAY_ASNG_DATA", "/from/variable")
    assert data_folder("~/mine") == Path("/home/someone/mine")
    assert data_folder() == Path("/from/variable")
    monkeypatch.delenv("RAY_ASNG_DATA")
    assert data_folder() == Path("/home/someone/.cache/ray_asng/data")


def test_a_relative_path_is_within_the_data_folder_and_not_the_current_one(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.parquet").write_text("")
    (tmp_path / "here.parquet").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_ASNG_DATA", str(tmp_path / "data"))
    assert data_file("train.parquet", "train") == tmp_path / "data" / "train.parquet"
    assert data_file(tmp_path / "here.parquet", "train") == tmp_path / "here.parquet"
    with pytest.raises(FileNotFoundError):
        data_file("here.parquet", "train")


def test_a_missing_file_is_an_error_that_says_what_to_pass(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ASNG_DATA", raising=False)
    with pytest.raises(FileNotFoundError) as caught:
        data_file("absent.parquet", "train", tmp_path)
    for part in ("train='absent.parquet'", str(tmp_path / "absent.parquet"), "data_dir", "RAY_ASNG_DATA (now not set)"):
        assert part in str(caught.value)
    assert "`ray-asng prepare images`" in str(caught.value)


def test_relative_folders_within_a_trial_are_those_of_the_folder_it_was_started_in(monkeypatch, tmp_path):
    monkeypatch.setenv("TUNE_ORIG_WORKING_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("RAY_ASNG_DATA", "../data")
    monkeypatch.setenv("RAY_ASNG_CACHE", "cache")
    assert data_folder().resolve() == tmp_path / "data"
    assert cache_folder() == tmp_path / "home" / "cache"
