"""Decoded arrays, made once and memory-mapped by every process of the node.

An array lies in the cache folder under the hash of everything that determines its content. It is written to a
temporary file under a lock and renamed, so a reader meets a whole file or none, and of many trials that start
together one decodes while the others wait.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from ray_asng.tasks.folders import CACHE_VARIABLE, cache_folder

# Part of every key: raise it when decoding changes, and old files are no longer found.
_FORMAT = 1

_logger = logging.getLogger(__name__)


def fingerprint(source: Path) -> dict[str, Any]:
    """What tells one state of a file from another: absolute path, length in bytes, time of the last change in ns."""
    status = source.stat()
    return {"source": str(source.resolve()), "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def cached_array(
    name: str, content: Mapping[str, Any], write: Callable[[Path], None], folder: Path | None = None
) -> NDArray[Any]:
    """The array of this content, decoded on first use.

    A file that is torn, or no array, is made anew; its values are not compared with the source.

    Args:
        name: the beginning of the file name, for people who look into the folder.
        content: everything that determines the array, as JSON-able values.
        write: puts the array into an `.npy` file at the path it is given. It is called at most once, under the lock.
        folder: where the file lies; by default the cache folder.

    Returns:
        The array, memory-mapped copy-on-write: processes share its pages, and none can change the file.

    Raises:
        OSError: the folder cannot be written; says how to name another.
    """
    key = hashlib.sha256(json.dumps({"format": _FORMAT, **content}, sort_keys=True).encode()).hexdigest()[:24]
    target = (folder or cache_folder()) / f"{name}-{key}.npy"
    # Before the lock, so that a complete cache may be read-only.
    found = _load(target)
    if found is not None:
        return found
    variable = f"set the environment variable {CACHE_VARIABLE} to a folder that can be written"
    _make_folder(target.parent, variable if folder is None else "name a folder that can be written")
    with FileLock(target.with_suffix(".lock")):
        found = _load(target)
        if found is None:
            _logger.info("decoding %s once into %s", name, target)
            _write_whole(target, write)
            found = _load(target)
    if found is None:
        raise OSError(f"{target} cannot be read back after writing; is the disk full?")
    return found


def _load(path: Path) -> NDArray[Any] | None:
    """The array of a file, or None if there is no whole one."""
    try:
        # Copy-on-write instead of read-only, because torch warns of arrays that it could not write to.
        return np.lib.format.open_memmap(path, mode="c")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, EOFError):
        _logger.warning("%s is damaged and is made anew", path)
        return None


def _make_folder(folder: Path, remedy: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"the folder of decoded data {folder} cannot be made ({error}); {remedy}") from error
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"the folder of decoded data {folder} cannot be written; {remedy}")


def _write_whole(target: Path, write: Callable[[Path], None]) -> None:
    # One name for all writers, which the lock admits singly: what a killed one left is overwritten by the next.
    partial = target.with_suffix(".partial.npy")
    try:
        write(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
