"""Where data are looked for, and where decoded copies of them go."""

from __future__ import annotations

import os
from pathlib import Path

DATA_VARIABLE = "RAY_ASNG_DATA"
CACHE_VARIABLE = "RAY_ASNG_CACHE"


def cache_folder() -> Path:
    """The folder of decoded copies: the environment variable RAY_ASNG_CACHE, or ~/.cache/ray_asng.

    It is apart from the data, since data folders are often shared and read-only.
    """
    return _absolute(os.environ.get(CACHE_VARIABLE) or "~/.cache/ray_asng")


def data_folder(data_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder of data sets: `data_dir`, else the environment variable RAY_ASNG_DATA, else ~/.cache/ray_asng/data."""
    chosen = data_dir or os.environ.get(DATA_VARIABLE) or "~/.cache/ray_asng/data"
    return _absolute(chosen)


def _absolute(path: str | os.PathLike[str]) -> Path:
    """A relative path is one of the user's working folder, also within a Tune trial, which works in another one."""
    # Tune sets this variable before it changes the folder; it calls it deprecated, and has no other that tells.
    started_in = os.environ.get("TUNE_ORIG_WORKING_DIR") or Path.cwd()
    return Path(started_in, Path(path).expanduser())


def data_file(path: str | os.PathLike[str], option: str, data_dir: str | os.PathLike[str] | None = None) -> Path:
    """The file that a task option names: an absolute path, or one within the data folder.

    A relative path is never looked for in the current folder, which differs between a script and a Ray worker.

    Args:
        path: absolute, relative, or beginning with ~.
        option: name of the task option, for the error.
        data_dir: folder of relative paths; by default that of RAY_ASNG_DATA.

    Raises:
        FileNotFoundError: there is no such file.
    """
    given = Path(path).expanduser()
    found = given if given.is_absolute() else data_folder(data_dir) / given
    if not found.is_file():
        raise FileNotFoundError(
            f"{option}={str(path)!r}: there is no file {found}. Pass an absolute path, or one relative to data_dir "
            f"or to the environment variable {DATA_VARIABLE} (now {os.environ.get(DATA_VARIABLE) or 'not set'}); "
            "`ray-asng prepare images` checks and decodes it ahead of a search"
        )
    return found
