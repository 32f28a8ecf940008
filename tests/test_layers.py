"""The architecture as a test: who may import whom, and the habits that keep the files readable.

Imports under `if TYPE_CHECKING:` are annotations and do not count; imports inside functions do.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ray_asng

PACKAGE = Path(ray_asng.__file__).parent
TREES = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}

# Layer (a folder or module of the package) -> the layers it may import besides itself.
MAY_IMPORT = {
    "__init__": {"version"},
    "version": set(),
    "decisions": set(),
    "space": {"decisions"},
    "randomness": set(),
    "registry": {"space"},
    "optimizers": {"space"},
    "supernets": {"space"},
    "tasks": {"space"},
    "tabular": {"space", "tasks"},
    "checkpoints": set(),
    "results": {"registry", "checkpoints"},
    "study": {"space", "config"},
    "recipes": {"space"},
    "job_options": {"recipes", "typed"},
    "__main__": {"cli"},
}
# The loop, retraining and configuration import all layers but these, which stand above them.
ABOVE_THE_LOOP = {"testing", "study", "raytune", "results", "cli", "__main__"}
# Third-party package -> the one layer that imports it.
AT_HOME = {"ray": "raytune", "matplotlib": "results", "click": "cli"}

# What may be used of numpy.random: explicit generators.
GENERATORS = {"default_rng", "Generator", "SeedSequence", "BitGenerator", "PCG64"}
# To look at a global state draws nothing; the conformance kit does, to see that nobody touches it.
LOOKS = {"random.getstate", "numpy.random.get_state"}
TORCH_SEEDS = re.compile(r"torch(\.random|\.cuda|\.cuda\.random)?\.(manual_seed|seed)(_all)?")


def layer_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(tree: ast.AST) -> list[str]:
    """Dotted names of all that is imported at run time: "ray_asng.space.nearest", "torch.nn"."""
    if isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.unparse(tree.test):
        return [name for node in tree.orelse for name in imports(node)]
    if isinstance(tree, ast.Import):
        return [alias.name for alias in tree.names]
    if isinstance(tree, ast.ImportFrom):
        return [f"{'.' * tree.level}{tree.module or ''}.{alias.name}" for alias in tree.names]
    return [name for node in ast.iter_child_nodes(tree) for name in imports(node)]


def imported_layers(path: Path) -> set[str]:
    own = [name for name in imports(TREES[path]) if name.startswith("ray_asng.")]
    return {name.split(".")[1] for name in own} - {layer_of(path)}


def imported_packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(TREES[path])}


def offenders(is_wrong: Callable[[Path], object]) -> dict[str, object]:
    """File -> what is wrong with it."""
    return {path.relative_to(PACKAGE).as_posix(): wrong for path in TREES if (wrong := is_wrong(path))}


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - (docstring.end_lineno - docstring.lineno + 1)


def test_the_reader_of_imports_sees_those_in_functions_and_not_those_for_annotations():
    source = """
import numpy as np
if TYPE_CHECKING:
    from ray_asng.cli import main
else:
    from ray_asng import tasks
def f():
    from ray_asng.raytune.experiment import Job, run_job
"""
    assert imports(ast.parse(source)) == [
        "numpy",
        "ray_asng.tasks",
        "ray_asng.raytune.experiment.Job",
        "ray_asng.raytune.experiment.run_job",
    ]


def test_a_layer_imports_only_the_layers_below_it():
    def above(path: Path) -> set[str]:
        layer, found = layer_of(path), imported_layers(path)
        if layer in MAY_IMPORT:
            return found - MAY_IMPORT[layer]
        # The conformance kit needs neither Ray nor results; the others above the loop take what they need.
        return set() if layer in ABOVE_THE_LOOP - {"testing"} else found & ABOVE_THE_LOOP

    assert offenders(above) == {}


def test_nothing_imports_the_command_line_the_examples_or_the_benchmarks():
    assert offenders(lambda path: imported_packages(path) & {"examples", "benchmarks", "tests"}) == {}
    assert set(offenders(lambda path: imported_layers(path) & {"cli"})) <= {"__main__.py"}


@pytest.mark.parametrize(("package", "home"), AT_HOME.items())
def test_one_layer_alone_imports(package, home):
    users = {layer_of(path) for path in TREES if package in imported_packages(path)}
    assert users == {home}


def test_of_the_space_module_the_registry_uses_only_the_words_for_unknown_names():
    names = imports(TREES[PACKAGE / "registry.py"])
    assert [name for name in names if name.startswith("ray_asng")] == ["ray_asng.space.nearest"]


def test_results_import_no_training_code():
    training = {"torch", "torchvision", "sklearn"}
    assert offenders(lambda path: layer_of(path) == "results" and imported_packages(path) & training) == {}


def test_imports_are_absolute():
    assert offenders(lambda path: [name for name in imports(TREES[path]) if name.startswith(".")]) == {}


@pytest.mark.parametrize("module", ["ray_asng", "ray_asng.cli", "ray_asng.registry", "ray_asng.tasks"])
def test_importing_costs_nothing_until_something_heavy_is_used(module):
    assert loaded_by(module, {"torch", "ray", "pyarrow", "matplotlib", "sklearn", "scipy"}) == set()


def test_results_are_read_without_torch_and_ray():
    assert loaded_by("ray_asng.results.report", {"torch", "ray"}) == set()


def loaded_by(module: str, packages: set[str]) -> set[str]:
    """Which of `packages` a fresh process has loaded after importing `module`."""
    code = f"import sys, {module}; print(*({packages!r} & set(sys.modules)))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_no_module_is_a_drawer_for_odds_and_ends():
    drawers = {"utils", "util", "common", "helpers", "helper", "misc"}
    parts = {path: {part.removesuffix(".py").strip("_") for part in path.relative_to(PACKAGE).parts} for path in TREES}
    assert offenders(lambda path: parts[path] & drawers) == {}


def test_files_have_at_most_400_lines():
    counts = {path: len(path.read_text().splitlines()) for path in TREES}
    assert offenders(lambda path: counts[path] if counts[path] > 400 else 0) == {}


def test_functions_have_at_most_60_lines():
    def long(path: Path) -> list[str]:
        functions = [n for n in ast.walk(TREES[path]) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
        return [f"{function.name}: {code_lines(function)}" for function in functions if code_lines(function) > 60]

    assert offenders(long) == {}


def test_every_module_begins_with_a_docstring():
    assert offenders(lambda path: not ast.get_docstring(TREES[path])) == {}


def test_input_is_checked_by_errors_and_not_by_assert():
    """`python -O` removes assert statements."""
    asserts = {path: [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Assert)] for path, tree in TREES.items()}
    assert offenders(asserts.get) == {}


def test_the_package_prints_nothing():
    def prints(path: Path) -> list[int]:
        calls = [node for node in ast.walk(TREES[path]) if isinstance(node, ast.Call)]
        return [call.lineno for call in calls if ast.unparse(call.func) == "print"]

    assert offenders(prints) == {}


def global_randomness(tree: ast.AST) -> list[str]:
    """Uses of a random state that belongs to nobody."""
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)} | set(imports(tree))
    used -= LOOKS
    found = [name for name in used if name.split(".")[0] == "random" or TORCH_SEEDS.fullmatch(name)]
    drawn = [re.match(r"(np|numpy)\.random\.(\w+)", name) for name in used]
    return found + [match[0] for match in drawn if match and match[2] not in GENERATORS]


@pytest.mark.parametrize(
    "line",
    [
        "np.random.seed(0)",
        "x = numpy.random.rand(3)",
        "from numpy.random import choice",
        "torch.manual_seed(0)",
        "torch.cuda.manual_seed_all(0)",
        "import random",
        "from random import choice",
    ],
)
def test_global_randomness_is_recognised(line):
    assert global_randomness(ast.parse(line))


@pytest.mark.parametrize("line", ["np.random.default_rng(0).random()", "torch.Generator().manual_seed(0)"])
def test_explicit_generators_are_no_global_randomness(line):
    assert not global_randomness(ast.parse(line))


def test_nothing_is_seeded_or_drawn_globally():
    assert offenders(lambda path: global_randomness(TREES[path])) == {}
