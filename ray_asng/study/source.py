"""A study file as it was written: plain data, and where in the file each entry stands.

A file is YAML, or Python that defines a dict `STUDY`. What its entries mean is said in `ray_asng.study`.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml  # type: ignore[import-untyped]  # ships no annotations

from ray_asng.space import nearest

Place: TypeAlias = tuple[str | int, ...]
"""The way to an entry: keys of mappings and numbers in lists, such as ("sweeps", 0, "values")."""

_READY = Path(__file__).with_name("ready")

_PYTHON_NAME = "ray_asng_study_file"
"""What a Python study is called while it runs. No module has this name, so its classes travel to workers whole."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a study file holds.

    Attributes:
        path: of the file.
        text: as it was written.
        content: the same as plain data.
        lines: where entries begin, from 1; empty for Python.
    """

    path: Path
    text: str
    content: dict[str, Any]
    lines: Mapping[Place, int]

    def at(self, place: Place) -> Any:
        """The entry at a place."""
        entry: Any = self.content
        for key in place:
            entry = entry[key]
        return entry

    def mapping(self, place: Place, known: Sequence[str] | None = None) -> Mapping[str, Any]:
        """The mapping at a place.

        Args:
            place: of the entry.
            known: keys that it may have; any by default.

        Raises:
            ValueError: no mapping, a key that is no text, or an unknown one.
        """
        content = self.at(place)
        if not isinstance(content, Mapping):
            what = place[-1] if place else "a study"
            raise self.error(place, f"{what} is a mapping from names to values, got {content!r}")
        for key in content:
            if not isinstance(key, str):
                raise self.error((*place, key), f"a key is a text, got {key!r}; put it in quotes")
            if known is not None and key not in known:
                raise self.error((*place, key), f"unknown key {key!r}{nearest(key, known)}")
        return content

    def where(self, place: Place) -> str:
        """File and line of an entry, or of the nearest one around it; the file alone for Python."""
        known = (self.lines[place[:length]] for length in range(len(place), -1, -1) if place[:length] in self.lines)
        return ":".join([str(self.path), *map(str, list(known)[:1])])

    def error(self, place: Place, message: str) -> ValueError:
        """What is wrong with an entry, with its line."""
        return ValueError(f"{self.where(place)}: {message}")


def ready_studies() -> dict[str, Path]:
    """Name -> file of the studies that come with the package."""
    return {path.stem: path for path in sorted(_READY.glob("*.yaml"))}


def find_study(given: str) -> Path:
    """The file of that path, or else the ready study of that name.

    Raises:
        FileNotFoundError: neither; says which ready ones there are.
    """
    path, ready = Path(given), ready_studies()
    if path.is_file():
        return path
    if given in ready:
        return ready[given]
    hint = nearest(given, list(ready))
    raise FileNotFoundError(f"there is no study file {given!r}, and no ready study of that name{hint}")


def read_source(path: Path) -> Source:
    """Read a study file.

    Raises:
        ValueError: neither YAML nor Python, or not of the form that these need.
        FileNotFoundError: no such file.
    """
    if path.suffix == ".py":
        return _read_python(path)
    if path.suffix not in (".yaml", ".yml"):
        raise ValueError(f"{path}: a study file is YAML (.yaml) or Python (.py), got the suffix {path.suffix!r}")
    return _read_yaml(path)


def _read_python(path: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    try:
        names = runpy.run_path(str(path), run_name=_PYTHON_NAME)
    except SyntaxError as error:
        raise ValueError(f"{path}:{error.lineno}: {error.msg}") from error
    if not isinstance(names.get("STUDY"), dict):
        raise ValueError(f"{path}: a study in Python defines a dict STUDY, got {names.get('STUDY')!r}")
    return Source(path, text, names["STUDY"], {})


def _read_yaml(path: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    loader = _Loader(text)
    lines: dict[Place, int] = {}
    try:
        node = loader.get_single_node()
        content = None if node is None else _plain(loader, node, (), lines)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f":{error.problem_mark.line + 1}"
        raise ValueError(f"{path}{line}: this is not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: this is not YAML: {error}") from error
    except _BadKey as error:
        raise ValueError(f"{path}:{error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: a study is a mapping with the key `methods`, got {content!r}")
    return Source(path, text, content, lines)


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # its base has no annotations
    """YAML as people write numbers: 1e-3 is one too, which YAML 1.1 takes for a text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


class _BadKey(Exception):
    """A key that is no plain value, or stands in a mapping twice: YAML would let the first go without a word."""


def _plain(loader: _Loader, node: yaml.Node, place: Place, lines: dict[Place, int]) -> Any:
    """The data of a node; notes the lines of all entries in it."""
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, item, (*place, index), lines) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    content: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise _BadKey(f"{line}: a key is a plain text, got a list or a mapping")
        key = loader.construct_object(key_node)
        if key in content:
            raise _BadKey(f"{line}: {key!r} stands here for the second time; keep one of them")
        lines[(*place, key)] = line
        content[key] = _plain(loader, value_node, (*place, key), lines)
    return content
