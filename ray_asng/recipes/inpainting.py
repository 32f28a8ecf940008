"""Inpainting with searched convolutional auto-encoders: the second experiment of ASNG-NAS, and forms for two cores.

Images of CelebA, whose middle quarter is hidden; other masks by the option `mask` of the task.

References:
    Akimoto et al., "Adaptive Stochastic Natural Gradient Method for One-Shot Neural Architecture Search", ICML 2019,
    and its code.
"""

from __future__ import annotations

from typing import Any

from ray_asng.recipes.recipe import Recipe


def paper_inpainting_cat() -> dict[str, Any]:
    """ASNG-NAS for inpainting of CelebA by auto-encoders in the categorical encoding, as published."""
    return {
        "method": "asng",
        "space": "cae_cat",
        "space_options": {"width": 256},
        "task": "inpainting",
        "task_options": {"source": "celeba", "size": 64, "mask": "centre"},
        "epochs": 50,
        "steps_per_epoch": 1000,
        "batch_size": 16,
        "samples": 2,
        "lr": 0.025,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "grad_clip": 5.0,
    }


def paper_inpainting_int() -> dict[str, Any]:
    """ASNG-NAS for inpainting of CelebA by auto-encoders with integer kernels and widths, as published."""
    return {**paper_inpainting_cat(), "space": "cae_int"}


def laptop_inpainting_cat() -> dict[str, Any]:
    """ASNG-NAS for inpainting of CIFAR-10 by narrow auto-encoders in the categorical encoding."""
    return {
        **paper_inpainting_cat(),
        "space_options": {"width": 32},
        "task_options": {"source": "cifar10", "mask": "centre"},
        "epochs": 20,
        "steps_per_epoch": 100,
        "warmup_epochs": 5,
    }


def laptop_inpainting_int() -> dict[str, Any]:
    """ASNG-NAS for inpainting of CIFAR-10 by narrow auto-encoders with integer kernels and widths."""
    return {**laptop_inpainting_cat(), "space": "cae_int"}


_ADAM = {"weight_optimizer": "adamw", "weight_decay": 0.0, "lr": 1e-3}
_SMOKE = {
    "space_options": {"width": 4},
    "task_options": {"source": "digits", "size": 16},
    "epochs": 2,
    "steps_per_epoch": 3,
    "warmup_epochs": 0,
}


def _paper(search: Any) -> Recipe:
    return Recipe(
        search=search,
        seeds=3,
        retraining={**_ADAM, "schedule": "steps", "epochs": 44, "batch_size": 16},
        smoke=_SMOKE,
        smoke_retraining={"epochs": 1, "batch_size": 360},
        cost="a search has 50 000 steps of two paths on 16 images, a retraining 500 000 steps on 16 images: GPU-days",
        aim="none that could be confirmed",
    )


def _laptop(search: Any) -> Recipe:
    return Recipe(
        search=search,
        seeds=3,
        retraining={**_ADAM, "schedule": "steps", "epochs": 5, "batch_size": 64},
        smoke=_SMOKE,
        smoke_retraining={"epochs": 1, "batch_size": 360},
        cost="25 minutes on two cores (estimated by the CPU time of a tenth of an epoch)",
        aim="none is published at this size; compare with the random architecture that is retrained beside it",
    )


PAPER_CAT, PAPER_INT = _paper(paper_inpainting_cat), _paper(paper_inpainting_int)
LAPTOP_CAT, LAPTOP_INT = _laptop(laptop_inpainting_cat), _laptop(laptop_inpainting_int)
