"""CIFAR-10 in the ENAS micro space: the classification experiment of ASNG-NAS, and a form of it for two cores.

Where it differs from the published one: the training set is halved by `split_seed`, not by the order of its files;
retraining takes Nesterov's form of the momentum; weights that no sample of a step used stand still in it.

References:
    Akimoto et al., "Adaptive Stochastic Natural Gradient Method for One-Shot Neural Architecture Search", ICML 2019,
    and its code.
"""

from __future__ import annotations

from typing import Any

from ray_asng.recipes.recipe import Recipe


def paper_cifar10() -> dict[str, Any]:
    """ASNG-NAS on CIFAR-10 in the ENAS micro space, as published."""
    return {
        "method": "asng",
        "space": "enas_micro",
        "space_options": {"width": 16, "cells": 8},
        "task": "cifar10",
        "task_options": {"cutout": 16},
        "epochs": 100,
        "batch_size": 64,
        "samples": 2,
        "lr": 0.025,
        "momentum": 0.9,
        "weight_decay": 3e-4,
        "grad_clip": 5.0,
    }


def laptop_cifar10() -> dict[str, Any]:
    """ASNG-NAS on CIFAR-10 in a small ENAS micro space, on images of 16 x 16 pixels."""
    return {
        **paper_cifar10(),
        "space_options": {"width": 8, "cells": 3},
        "task_options": {"size": 16, "cutout": 0},
        "epochs": 20,
        "warmup_epochs": 10,
        "passes_per_epoch": 1000,
        "lr": 0.1,
    }


_SMOKE = {
    "space_options": {"width": 2, "cells": 3},
    "task": "digits",
    "task_options": {"size": 8},
    "epochs": 2,
    "warmup_epochs": 0,
    "passes_per_epoch": None,
    "steps_per_epoch": 3,
}

PAPER = Recipe(
    search=paper_cifar10,
    seeds=3,
    retraining={
        "space_options": {"cells": 20, "auxiliary": True},
        "parameter_limit": 4_000_000,
        "epochs": 600,
        "batch_size": 80,
        "lr": 0.025,
        "weight_decay": 3e-4,
        "drop_path": 0.3,
        "auxiliary_weight": 0.4,
    },
    # The auxiliary head needs images of at least 29 x 29 pixels.
    smoke={**_SMOKE, "task_options": {"size": 32}},
    smoke_retraining={
        "space_options": {"cells": 3, "auxiliary": True},
        "parameter_limit": 5_000,
        "epochs": 1,
        "batch_size": 360,
    },
    cost="a search has 39 100 steps of two paths on 64 images, a retraining 375 000 steps on 80 images: GPU-days",
    aim="2.89 % test error with 4.6 M parameters by ENAS in the same space (README of DrNAS)",
)

LAPTOP = Recipe(
    search=laptop_cifar10,
    seeds=3,
    retraining={"space_options": {"width": 8, "cells": 3}, "epochs": 10, "batch_size": 128, "lr": 0.1},
    smoke=_SMOKE,
    smoke_retraining={"space_options": {"width": 2, "cells": 3}, "epochs": 1},
    cost="35 minutes on two cores (estimated by the CPU time of a tenth of an epoch)",
    aim="none is published at this size; compare with the random architecture that is retrained beside it",
)
