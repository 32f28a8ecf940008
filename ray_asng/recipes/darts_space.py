"""CIFAR-10 in the DARTS space: first-order DARTS as published, and a form for two cores.

Where it differs from the published one: learning rates fall to 0 instead of 0.001 in the search, and retraining takes
Nesterov's form of the momentum.

References:
    Liu, Simonyan & Yang, "DARTS: Differentiable Architecture Search", ICLR 2019, and its code.
"""

from __future__ import annotations

from typing import Any

from ray_asng.recipes.recipe import Recipe


def darts_cifar10() -> dict[str, Any]:
    """First-order DARTS on CIFAR-10 in its own space, as published."""
    return {
        "method": "darts",
        "space": "darts",
        "space_options": {"width": 16, "cells": 8},
        "task": "cifar10",
        "epochs": 50,
        "batch_size": 64,
        "lr": 0.025,
        "momentum": 0.9,
        "weight_decay": 3e-4,
        "grad_clip": 5.0,
    }


def laptop_darts_cifar10() -> dict[str, Any]:
    """First-order DARTS on CIFAR-10 in a small network of its space, on images of 16 x 16 pixels."""
    return {
        **darts_cifar10(),
        "space_options": {"width": 4, "cells": 3},
        "task_options": {"size": 16},
        "epochs": 10,
        "steps_per_epoch": 50,
    }


_SMOKE = {
    "space_options": {"width": 2, "cells": 3},
    "task": "digits",
    "task_options": {"size": 8},
    "epochs": 2,
    "steps_per_epoch": 2,
}

PAPER = Recipe(
    search=darts_cifar10,
    seeds=3,
    retraining={
        "space_options": {"width": 36, "cells": 20, "auxiliary": True},
        "task_options": {"cutout": 16},
        "epochs": 600,
        "batch_size": 96,
        "lr": 0.025,
        "weight_decay": 3e-4,
        "drop_path": 0.2,
        "auxiliary_weight": 0.4,
    },
    # The auxiliary head needs images of at least 29 x 29 pixels.
    smoke={**_SMOKE, "task_options": {"size": 32}},
    smoke_retraining={"space_options": {"width": 2, "cells": 3, "auxiliary": True}, "epochs": 1, "batch_size": 360},
    cost="a search has 19 550 steps of all operations on 64 images, a retraining 312 600 steps on 96 images: GPU-days",
    aim="3.00 % test error with 3.3 M parameters (README of PC-DARTS)",
)

LAPTOP = Recipe(
    search=laptop_darts_cifar10,
    seeds=3,
    retraining={"space_options": {"width": 8, "cells": 3}, "epochs": 10, "batch_size": 128, "lr": 0.1},
    smoke=_SMOKE,
    smoke_retraining={"space_options": {"width": 2, "cells": 3}, "task_options": {}, "epochs": 1},
    cost="40 minutes on two cores (estimated by the CPU time of a tenth of an epoch)",
    aim="none is published at this size; compare with the random architecture that is retrained beside it",
)
