"""The examples do what they promise, run as a newcomer runs them, in a folder that holds nothing."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
FILES = sorted(EXAMPLES.glob("*.py"))

NUMBER = r"\d\.\d{3}"
CELL = r"\|\w+~0\|\+\|\w+~0\|\w+~1\|\+\|\w+~0\|\w+~1\|\w+~2\|"


def found_by(seeds, metric, decision):
    """What the worked examples print: a line for each seed, with what it found."""
    word = "hits" if metric == "hits" else f"path {metric}"
    return "".join(rf'seed {seed}  {word} {NUMBER}  {{.*"{decision}": .*}}\n' for seed in range(seeds))


# Name -> the arguments that make it short, and what its output ends with.
PROMISES = {
    "own_module.py": (["--epochs", "1"], rf'found: {{.*"activation": .*}}\n\d+ parameters, test accuracy {NUMBER}\n'),
    "own_method.py": (["--epochs", "1"], rf"HillClimber  seed 1  {CELL}\nHillClimber  path accuracy {NUMBER}, .*\n"),
    "quickstart.py": ([], "".join(rf"seed {seed}  path accuracy {NUMBER}  {CELL}\n" for seed in range(4))),
    "tune_run_seeds.py": (
        ["--epochs", "2", "--seeds", "2"],
        r"asng +2 +\d+\.\d % ± .*\n.*95 % t interval.*\n\nsummary, \d figures and results\.parquet are in .*\n",
    ),
    "search_algorithm.py": (["--trials", "4"], rf"best of 4: accuracy {NUMBER}  {{.*}}\n"),
    "tabular_network.py": (["--epochs", "1"], found_by(4, "accuracy", "depth")),
    "sequence_network.py": (["--epochs", "1"], found_by(4, "accuracy", "kernel_0")),
    "regression.py": (["--epochs", "1"], found_by(4, "hits", "combine")),
    "character_transformer.py": (["--epochs", "1"], found_by(2, "accuracy", "heads_0")),
    "cifar10_parquet.py": (
        ["--epochs", "1", "--train-images", "300"],
        rf"asng   path accuracy {NUMBER}  {CELL}\ndarts  path accuracy {NUMBER}  {CELL}\n",
    ),
}


def run(name, arguments, folder, **environment):
    """Run an example in `folder`, which is also the home of the process, since Tune writes there by default."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "RAY_USAGE_STATS_ENABLED": "0", **environment},
        capture_output=True,
        text=True,
    )


def assert_keeps_its_promise(name, folder, **environment):
    arguments, promised = PROMISES[name]
    done = run(name, arguments, folder, **environment)
    assert done.returncode == 0, done.stderr
    # What Ray writes to the same stream (its workers' lines have a colour) is not the example's.
    own = "".join(line for line in done.stdout.splitlines(keepends=True) if not line.startswith(("\x1b", "(")))
    assert re.search(promised + r"\Z", own), own


@pytest.mark.parametrize("name", ["own_module.py", "own_method.py"])
def test_without_ray(name, tmp_path):
    assert_keeps_its_promise(name, tmp_path)


@pytest.mark.ray
def test_the_quickstart_of_the_readme(tmp_path):
    assert_keeps_its_promise("quickstart.py", tmp_path)


@pytest.mark.ray
def test_asng_as_a_search_algorithm(tmp_path):
    assert_keeps_its_promise("search_algorithm.py", tmp_path)


@pytest.mark.ray
@pytest.mark.slow
def test_a_search_of_widths_depth_and_rates(tmp_path):
    assert_keeps_its_promise("tabular_network.py", tmp_path)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("name", ["sequence_network.py", "regression.py", "character_transformer.py"])
def test_the_other_worked_examples(name, tmp_path):
    assert_keeps_its_promise(name, tmp_path)


@pytest.mark.ray
@pytest.mark.slow
def test_many_seeds_leave_a_report(tmp_path):
    assert_keeps_its_promise("tune_run_seeds.py", tmp_path)
    (experiment,) = (tmp_path / "ray_results").iterdir()
    assert (experiment / "results.parquet").is_file()
    assert "| asng | 2 |" in (experiment / "summary.md").read_text()
    assert list((experiment / "figures").glob("*.png"))


@pytest.mark.ray
@pytest.mark.slow
def test_cifar10_from_parquet_files(tmp_path):
    data = os.environ.get("RAY_ASNG_DATA")
    if not data or not (Path(data) / "cifar10_webp_train.parquet").is_file():
        pytest.skip("needs CIFAR-10 as Parquet files in the folder that RAY_ASNG_DATA names")
    assert_keeps_its_promise(
        "cifar10_parquet.py", tmp_path, RAY_ASNG_DATA=str(Path(data).resolve()), RAY_ASNG_CACHE=str(tmp_path / "cache")
    )


@pytest.mark.parametrize("data", ["", "/nowhere"])
def test_without_data_the_cifar10_example_says_what_to_set(data, tmp_path):
    done = run("cifar10_parquet.py", [], tmp_path, RAY_ASNG_DATA=data)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "set the environment variable RAY_ASNG_DATA to a folder with the files cifar10_webp_train" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_example_is_run_by_a_test():
    assert set(PROMISES) == {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_example_is_short_says_what_it_shows_and_runs_nothing_on_import(path):
    source = path.read_text()
    assert len(source.splitlines()) < 80
    tree = ast.parse(source)
    assert ast.get_docstring(tree)
    assert source.startswith('"""')
    allowed = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.FunctionDef, ast.ClassDef, ast.If)
    assert all(isinstance(node, allowed) for node in tree.body)
    assert ast.unparse(tree.body[-1]).startswith("if __name__ == '__main__':")


def test_the_example_of_the_readme_is_the_quickstart():
    readme = EXAMPLES.parent / "README.md"
    code = re.search(r"```python\n(.*?)```", readme.read_text(), re.DOTALL).group(1)
    docstring, _, rest = (EXAMPLES / "quickstart.py").read_text().partition('"""\n\n')
    assert docstring
    assert code == rest
