import multiprocessing
import time

import numpy as np
import pytest

from ray_asng.tasks import decode_cache
from ray_asng.tasks.decode_cache import cached_array, fingerprint

VALUES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


class Writer:
    """Writes an array and counts how often it was asked to."""

    def __init__(self, values=VALUES):
        self.values = values
        self.calls = 0

    def __call__(self, target):
        self.calls += 1
        np.save(target, self.values)


def race(barrier, log, answers):
    def write(target):
        with log.open("a") as file:
            file.write("decoded\n")
        time.sleep(0.3)
        np.save(target, VALUES)

    barrier.wait()
    answers.put(cached_array("race", {"source": "one"}, write).tolist())


def test_an_array_is_decoded_once_and_memory_mapped_from_then_on(cache_folder):
    writer = Writer()
    first = cached_array("numbers", {"source": "a"}, writer)
    second = cached_array("numbers", {"source": "a"}, writer)
    assert writer.calls == 1
    assert isinstance(first, np.memmap)
    assert isinstance(second, np.memmap)
    assert np.array_equal(first, VALUES)
    assert np.array_equal(second, VALUES)
    assert [path.suffix for path in sorted(cache_folder.iterdir())] == [".lock", ".npy"]


def test_other_content_is_decoded_anew():
    one, other = Writer(), Writer(VALUES + 1)
    cached_array("numbers", {"source": "a", "size": 8}, one)
    assert np.array_equal(cached_array("numbers", {"source": "a", "size": 16}, other), VALUES + 1)
    assert np.array_equal(cached_array("numbers", {"size": 8, "source": "a"}, other), VALUES)
    assert (one.calls, other.calls) == (1, 1)


@pytest.mark.parametrize("length", [0, 3, 9, 60, 128, 151])
def test_a_torn_file_is_made_anew(cache_folder, length):
    writer = Writer()
    cached_array("numbers", {}, writer)
    [file] = cache_folder.glob("*.npy")
    whole = file.read_bytes()
    assert len(whole) == 152
    file.write_bytes(whole[:length])
    assert np.array_equal(cached_array("numbers", {}, writer), VALUES)
    assert (writer.calls, file.read_bytes()) == (2, whole)


def test_a_file_that_is_no_array_is_made_anew(cache_folder):
    writer = Writer()
    cached_array("numbers", {}, writer)
    [file] = cache_folder.glob("*.npy")
    file.write_bytes(b"this is no array" * 20)
    assert np.array_equal(cached_array("numbers", {}, writer), VALUES)


def test_of_two_processes_that_race_one_decodes_and_both_get_the_array(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    barrier, answers, log = spawn.Barrier(2), spawn.Queue(), tmp_path / "log"
    processes = [spawn.Process(target=race, args=(barrier, log, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    assert [answers.get(timeout=60) for _ in processes] == [VALUES.tolist()] * 2
    for process in processes:
        process.join()
    assert log.read_text() == "decoded\n"


def test_decoding_that_fails_leaves_nothing_behind(cache_folder):
    def write(target):
        target.write_bytes(b"half of it")
        raise ValueError("row 3 is broken")

    with pytest.raises(ValueError, match="row 3 is broken"):
        cached_array("numbers", {}, write)
    assert not list(cache_folder.glob("*.npy"))
    assert np.array_equal(cached_array("numbers", {}, Writer()), VALUES)


def test_what_a_killed_process_left_is_overwritten(cache_folder):
    cached_array("numbers", {}, Writer())
    [file] = cache_folder.glob("*.npy")
    file.rename(file.with_suffix(".partial.npy"))
    assert np.array_equal(cached_array("numbers", {}, Writer(VALUES + 1)), VALUES + 1)
    assert list(cache_folder.glob("*.npy")) == [file]


def test_writing_to_the_array_does_not_change_the_file():
    cached_array("numbers", {}, Writer())[:] = 0
    assert np.array_equal(cached_array("numbers", {}, Writer()), VALUES)


def test_a_complete_cache_is_read_without_a_lock(monkeypatch):
    cached_array("numbers", {}, Writer())
    monkeypatch.delattr(decode_cache, "FileLock")
    assert np.array_equal(cached_array("numbers", {}, Writer()), VALUES)


def test_a_cache_folder_that_cannot_be_made_is_an_error_that_names_the_variable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RAY_ASNG_CACHE", str(tmp_path / "file" / "folder"))
    with pytest.raises(OSError, match="set the environment variable RAY_ASNG_CACHE"):
        cached_array("numbers", {}, Writer())


def test_a_file_that_changes_has_another_fingerprint(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"one")
    before = fingerprint(source)
    assert fingerprint(source) == before
    source.write_bytes(b"four")
    assert fingerprint(source) != before
