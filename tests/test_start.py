"""What a start loads: counted in modules, since seconds depend on the machine.

`benchmarks/startup.py` has the seconds.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ray_asng

WHAT_IS_LOADED = """
import sys
before = set(sys.modules)
{code}
names = sorted(set(sys.modules) - before)
print(*(name for name in names if name.split(".")[0] == "ray_asng"))
print(*sorted({{name.split(".")[0] for name in names}} - {{"ray_asng", "__main__"}} - set(sys.stdlib_module_names)))
print(len(names))
"""
HELP = """
import contextlib, io, runpy
sys.argv = ["ray-asng", {arguments}]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as output:
    runpy.run_module("ray_asng", run_name="__main__")
assert "Usage" in output.getvalue()
"""


def loaded_by(code, *options):
    """Modules of the package, other packages, and the number of modules that a fresh process loads for `code`.

    With "-S" the process does without what the environment loads beforehand, such as the finder of an editable
    installation, which would hide some.
    """
    program = WHAT_IS_LOADED.format(code=code)
    environment = {**os.environ, "PYTHONPATH": str(Path(ray_asng.__file__).parents[1])}
    done = subprocess.run([sys.executable, *options, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    own, packages, count = done.stdout.split("\n")[:3]
    return set(own.split()), set(packages.split()), int(count)


def test_importing_the_package_loads_its_version_and_next_to_nothing_else():
    """`typing` with all that it loads would be more than 30 modules, and take longer than a bare interpreter."""
    own, packages, count = loaded_by("import ray_asng", "-S")
    assert own == {"ray_asng", "ray_asng.version"}
    assert packages == set()
    assert count < 6


@pytest.mark.parametrize("arguments", ["'--help'", "'search', '--help'", "'retrain', '--help'", "'report', '--help'"])
def test_help_loads_no_package_but_click(arguments):
    own, packages, count = loaded_by(HELP.format(arguments=arguments))
    assert own == {f"ray_asng{name}" for name in ("", ".cli", ".job_options", ".typed", ".version")}
    assert packages == {"click"}
    assert count < 200
