"""Start-up. The claims: import under 2 x a bare interpreter, --help under 0.7 s, CIFAR-10 from the cache under 1 s.

The first table has whole processes: `python -S -c pass`, `python -S -c "import ray_asng"` and `python -m ray_asng
--help` take turns; the ratio to the bare interpreter is that of a turn; all with 95 % bootstrap intervals.
`-S` leaves out what the environment loads into every interpreter: the finder of an editable installation, for instance,
is slower than the bare interpreter and has loaded beforehand what an import of the package might load.

The second has what lies between the start of a search's process and the end of its first step, in seconds: medians of
fresh processes with one thread, for the two data sets in turn. The network is the cell of NAS-Bench-201 at its full
size (16 channels, 5 cells a stage), the step is one of weights and one of the architecture with a batch of 64. CIFAR-10
stands for random images in the files that torchvision downloads (50 000 and 10 000): they are decoded once, which is
timed too, and every search then begins with the decoded copies. The first use of `torch.optim` is a part of its own,
since torch imports its compiler there; most of the data of `digits` is the import of scikit-learn. Ray comes on top in
a trial of Tune.

    python benchmarks/startup.py --output startup
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import click
import numpy as np
from interleaved import Estimate, interleave, ratio
from numpy.typing import NDArray
from report import leave, machine, table
from torchvision.datasets import CIFAR10

import ray_asng
from ray_asng import tasks

COMMANDS = {
    "bare interpreter": ["-S", "-c", "pass"],
    "import ray_asng": ["-S", "-c", "import ray_asng"],
    "ray-asng --help": ["-m", "ray_asng", "--help"],
}
CLAIMS = {"import ray_asng": "under 2 x", "ray-asng --help": "under 0.7 s"}


def run(*arguments: str) -> str:
    """What a Python process of one thread writes.

    Raises:
        click.ClickException: it failed; says what it said.
    """
    package = str(Path(ray_asng.__file__).parents[1])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": package}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(f"{arguments} failed with code {done.returncode}:\n{done.stderr}")
    return done.stdout


def commands(repeats: int) -> dict[str, NDArray[np.float64]]:
    """Seconds of whole processes, (repeats,) each."""
    return interleave({name: lambda given=given: run(*given) for name, given in COMMANDS.items()}, repeats)


def write_batch(folder: Path, name: str, images: int, seed: int) -> list[str]:
    """A file of random images as CIFAR-10 has them; its name and checksum, as torchvision lists them."""
    rng = np.random.default_rng(seed)
    content = {
        "data": rng.integers(0, 256, (images, 3 * 32 * 32), dtype=np.uint8),
        "labels": rng.integers(0, 10, images).tolist(),
    }
    (folder / name).write_bytes(pickle.dumps(content))
    return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]


def decode(data_dir: Path, images: int) -> float:
    """Write files of `images` images each in the layout of CIFAR-10 and build the task; seconds of the latter."""
    folder = data_dir / CIFAR10.base_folder
    folder.mkdir(parents=True)
    train = [write_batch(folder, name, images, number) for number, (name, _) in enumerate(CIFAR10.train_list)]
    test = [write_batch(folder, name, images, 99) for name, _ in CIFAR10.test_list]
    names = folder / CIFAR10.meta["filename"]
    names.write_bytes(pickle.dumps({CIFAR10.meta["key"]: [str(label) for label in range(10)]}))
    meta = {**CIFAR10.meta, "md5": hashlib.md5(names.read_bytes()).hexdigest()}
    with mock.patch.multiple(CIFAR10, train_list=train, test_list=test, meta=meta):
        started = time.perf_counter()
        tasks.cifar10(data_dir=data_dir)
        return time.perf_counter() - started


def parts(data_dir: Path, repeats: int) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Seconds by data set and part, (repeats,) each."""
    found: dict[str, list[dict[str, float]]] = {"digits": [], "cifar10": []}
    script = str(Path(__file__).with_name("timed_start.py"))
    for number in range(repeats):
        for task in reversed(found) if number % 2 else found:
            found[task].append(json.loads(run(script, task, str(data_dir))))
    return {task: {name: np.array([row[name] for row in rows]) for name in rows[0]} for task, rows in found.items()}


def commands_table(seconds: dict[str, NDArray[np.float64]]) -> str:
    """Seconds, and ratios to the bare interpreter."""
    bare = seconds["bare interpreter"]
    rows = [
        [name, Estimate.of(values), ratio(values, bare), CLAIMS.get(name, ""), len(values)]
        for name, values in seconds.items()
    ]
    return table(["process", "seconds (95 % interval)", "/ bare interpreter", "claim", "repeats"], rows)


def parts_table(found: dict[str, dict[str, NDArray[np.float64]]]) -> str:
    """Median seconds by part, the data sets side by side."""
    names = list(found["digits"])
    rows = [[name, *(f"{np.median(seconds[name]):.3f}" for seconds in found.values())] for name in names]
    to_first_step = [sum(seconds[name] for name in names[:-1]) for seconds in found.values()]
    rows.append(["all to the end of the first step", *(f"{np.median(total):.3f}" for total in to_first_step)])
    return table(["part, seconds", *found], rows)


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("startup"), show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=30, show_default=True, help="Processes of each command.")
@click.option("--starts", type=click.IntRange(1), default=7, show_default=True, help="Searches for each data set.")
@click.option("--smoke", is_flag=True, help="Few processes, few images.")
def main(output: Path, repeats: int, starts: int, smoke: bool) -> None:
    """Measure what is spent before a search begins."""
    images = 10_000  # of each of the six files
    if smoke:
        repeats, starts, images = 2, 1, 100
    where = machine()
    whole = commands(repeats)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RAY_ASNG_CACHE"] = f"{folder}/decoded"
        decoding = decode(Path(folder, "data"), images)
        started = parts(Path(folder, "data"), starts)
    decoded = f"The {6 * images} images were decoded, once, in {decoding:.2f} s."
    tables = [commands_table(whole), parts_table(started), decoded]
    numbers: dict[str, Any] = {
        "processes": {name: Estimate.of(values).numbers() for name, values in whole.items()},
        "ratios": {name: ratio(values, whole["bare interpreter"]).numbers() for name, values in whole.items()},
        "parts": {task: {name: Estimate.of(v).numbers() for name, v in rows.items()} for task, rows in started.items()},
        "decoding": decoding,
    }
    settings = {"threads": 1, "starts": starts, **where}
    shown = leave(output, "startup", "Start-up", about=__doc__ or "", tables=tables, settings=settings, numbers=numbers)
    click.echo(shown)


if __name__ == "__main__":
    main()
