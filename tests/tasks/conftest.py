"""Every test of tasks decodes into a cache folder of its own; the user's is left alone."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    folder = tmp_path / "decoded"
    monkeypatch.setenv("RAY_ASNG_CACHE", str(folder))
    return folder


@pytest.fixture
def real_cifar10():
    """Folder with CIFAR-10 as Parquet files."""
    folder = os.environ.get("RAY_ASNG_DATA")
    if not folder:
        pytest.skip("needs CIFAR-10 as Parquet files in the folder that RAY_ASNG_DATA names, which is not set")
    for name in ("cifar10_webp_train.parquet", "cifar10_webp_test.parquet"):
        if not (Path(folder) / name).is_file():
            pytest.skip(f"needs {name}, which the folder of RAY_ASNG_DATA does not hold")
    return Path(folder)
