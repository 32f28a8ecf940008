"""Names for built-in methods, spaces and tasks: a convenience; passing a class or function always works.

A built-in is named here by its place and imported when it is first used, so that listing names costs nothing.
A name registered in a user's script does not exist in a Ray worker: there, pass the object itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from importlib import import_module
from typing import Any

from ray_asng.space import nearest

Builder = Callable[..., Any]


class Registry(MutableMapping[str, Builder]):
    """Names and their builders.

    Args:
        kind: what is registered, for error messages ("method").
        builtin: name -> "module:attribute".
    """

    def __init__(self, kind: str, builtin: dict[str, str]) -> None:
        self.kind = kind
        self._places = dict(builtin)
        self._builders: dict[str, Builder] = {}

    def __getitem__(self, name: str) -> Builder:
        if name in self._builders:
            return self._builders[name]
        if name not in self._places:
            raise KeyError(name)
        module, attribute = self._places[name].split(":")
        builder: Builder = getattr(import_module(module), attribute)
        return builder

    def __setitem__(self, name: str, builder: Builder) -> None:
        if name in self:
            raise ValueError(f"the {self.kind} {name!r} is registered already; choose another name")
        self._builders[name] = builder

    def __delitem__(self, name: str) -> None:
        if name not in self._builders:
            raise KeyError(name)
        del self._builders[name]

    def __contains__(self, name: object) -> bool:
        return name in self._builders or name in self._places

    def __iter__(self) -> Iterator[str]:
        yield from self._places
        yield from self._builders

    def __len__(self) -> int:
        return len(self._places) + len(self._builders)

    def resolve(self, given: str | Builder) -> Builder:
        """The builder of a name, or `given` itself if it can be called.

        Raises:
            ValueError: an unknown name; the message has the nearest known one.
            TypeError: neither a name nor something to call.
        """
        if isinstance(given, str):
            if given not in self:
                raise ValueError(
                    f"unknown {self.kind} {given!r}{nearest(given, tuple(self))}. In a Ray worker only built-in "
                    f"names exist: pass your own {self.kind} as a class or function"
                )
            return self[given]
        if not callable(given):
            raise TypeError(
                f"a {self.kind} is given by name, or as a class or function that builds it; got {type(given)}"
            )
        return given


methods = Registry(
    "method",
    {
        "asng": "ray_asng.optimizers.asng:ASNG",
        "wa_asng": "ray_asng.optimizers.wa_asng:WeightAdaptingASNG",
        "sng": "ray_asng.optimizers.sng:SNG",
        "natural_adam": "ray_asng.optimizers.natural_adam:NaturalAdam",
        "reinforce": "ray_asng.optimizers.reinforce:REINFORCE",
        "evolution": "ray_asng.optimizers.evolution:RegularizedEvolution",
        "random_search": "ray_asng.optimizers.random_search:RandomSearch",
        "rsps": "ray_asng.optimizers.rsps:RSPS",
        "spos": "ray_asng.optimizers.spos:SPOS",
        "fairnas": "ray_asng.optimizers.fairnas:FairNAS",
        "darts": "ray_asng.optimizers.darts:DARTS",
        "darts_2nd": "ray_asng.optimizers.darts_2nd:SecondOrderDARTS",
        "darts_es": "ray_asng.optimizers.darts_es:EarlyStoppedDARTS",
        "darts_pt": "ray_asng.optimizers.darts_pt:DARTSPT",
        "pc_darts": "ray_asng.optimizers.pc_darts:PCDARTS",
        "sdarts_rs": "ray_asng.optimizers.sdarts:SDARTSRandom",
        "sdarts_adv": "ray_asng.optimizers.sdarts:SDARTSAdversarial",
        "snas": "ray_asng.optimizers.snas:SNAS",
        "gdas": "ray_asng.optimizers.gdas:GDAS",
        "gaea": "ray_asng.optimizers.gaea:GAEA",
        "gaea_gdas": "ray_asng.optimizers.gaea_gdas:GAEAGDAS",
        "drnas": "ray_asng.optimizers.drnas:DrNAS",
        "drnas_progressive": "ray_asng.optimizers.drnas_progressive:ProgressiveDrNAS",
    },
)
tables = Registry("table", {"nasbench201": "ray_asng.tabular.nasbench201:NASBench201Table"})
spaces = Registry(
    "space",
    {
        "nasbench201": "ray_asng.supernets.nasbench201:NASBench201",
        "enas_micro": "ray_asng.supernets.enas_micro:ENASMicro",
        "cae_cat": "ray_asng.supernets.autoencoder:CategoricalAutoEncoder",
        "cae_int": "ray_asng.supernets.autoencoder:IntegerAutoEncoder",
        "darts": "ray_asng.supernets.darts:DARTSNetwork",
        "s1": "ray_asng.supernets.robust_darts:s1",
        "s2": "ray_asng.supernets.robust_darts:s2",
        "s3": "ray_asng.supernets.robust_darts:s3",
        "s4": "ray_asng.supernets.robust_darts:s4",
    },
)
tasks = Registry(
    "task",
    {
        "digits": "ray_asng.tasks.digits:digits",
        "cifar10": "ray_asng.tasks.cifar:cifar10",
        "cifar100": "ray_asng.tasks.cifar:cifar100",
        "images": "ray_asng.tasks.parquet_images:images",
        "inpainting": "ray_asng.tasks.inpainting:inpainting",
    },
)
