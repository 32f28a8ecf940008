"""Folders as Ray Tune leaves them, with the reports of searches and retrainings, for the tests of results.

The shape of the files (keys, NaN spelled bare or as "null", error.txt that stays) is that of Ray 2.60.
"""

import json
from pathlib import Path

import numpy as np

OPTIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
DECISIONS = json.dumps([{"name": f"edge_{start}_{end}", "options": OPTIONS} for start, end in EDGES])
VERSIONS = json.dumps({"ray_asng": "0.1.0", "torch": "2.14.1", "ray": "2.60.0"})


def write_trial(folder: Path, trial: str, reports: list[dict], error: str = "", config: dict | None = None) -> Path:
    """Write one trial folder; the reports get Tune's own keys."""
    place = folder / f"SearchTrainable_{trial}_0_seed=0_2026-03-01_10-00-00"
    place.mkdir(parents=True)
    lines = [json.dumps(tune_report(trial, number, report)) for number, report in enumerate(reports, start=1)]
    (place / "result.json").write_text("".join(f"{line}\n" for line in lines))
    (place / "params.json").write_text(json.dumps(config or {}, indent=2))
    if error:
        (place / "error.txt").write_text(error)
    return place


def tune_report(trial: str, number: int, report: dict) -> dict:
    """A report with what Tune adds to it."""
    return {
        **report,
        "done": False,
        "training_iteration": number,
        "trial_id": trial,
        "date": f"2026-03-01_10-00-{number:02d}",
        "timestamp": 1772359200 + number,
        "time_this_iter_s": 1.5,
        "time_total_s": 1.5 * number,
        "pid": 4182,
        "hostname": "vm",
        "node_ip": "127.0.0.1",
        "config": {"seed": 0, "task": "<function digits at 0x7f>"},
        "time_since_restore": 1.5 * number,
        "iterations_since_restore": number,
    }


def search_reports(method: str, seed: int, epochs: int = 20, done: int | None = None) -> list[dict]:
    """The reports of a search of the NAS-Bench-201 cell with made-up but plausible numbers."""
    rng = np.random.default_rng([len(method), seed])
    logits, pull = np.zeros((6, 5)), rng.normal([-0.6, 0.1, 0.15, 0.35, 0.0], 0.35, (6, 5))
    if method == "random_search":
        pull *= 0.0
    level, reports = rng.normal(0.0, 0.006), []
    for epoch in range(1, (done or epochs) + 1):
        logits += pull * rng.uniform(0.3, 1.2, (6, 5))
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        gain = 1 - np.exp(-epoch / 4)
        accuracy = 0.1 + 0.82 * gain + level + rng.normal(0, 0.008)
        chosen = probabilities.argmax(axis=1) if method != "random_search" else rng.integers(0, 5, 6)
        reports.append(
            {
                **_common("search", method, seed, epoch, epochs),
                **architecture([OPTIONS[index] for index in chosen]),
                "train_loss": 2.2 - 1.9 * gain + rng.normal(0, 0.02),
                "valid_loss": 2.25 - 1.8 * gain + rng.normal(0, 0.03),
                "train_accuracy": min(accuracy + 0.02, 1.0),
                "valid_accuracy": accuracy,
                "path_accuracy": min(accuracy + 0.04 + rng.normal(0, 0.004), 0.999),
                "convergence": probabilities.max(axis=1).mean(),
                "entropy": -(probabilities * np.log(probabilities)).sum(axis=1).mean(),
                "parameter_free_share": float(np.isin(chosen, (0, 1, 4)).mean()),
                "decisions": DECISIONS,
                "probabilities": probabilities.tolist(),
                "evaluations": 240 * epoch,
                **({"step_size": 0.2 + 0.01 * epoch, "signal_ratio": 1.1} if method == "asng" else {}),
            }
        )
    return reports


def retraining_reports(method: str, search_seed: int, seed: int = 0, epochs: int = 10, **changes: object) -> list[dict]:
    """The reports of the retraining of a child; `changes` replace values of every report."""
    rng = np.random.default_rng([len(method), search_seed + 1, seed])
    options = [OPTIONS[index] for index in rng.integers(1, 5, 6)]
    top = 0.983 + rng.normal(0, 0.004) - (0.012 if method == "random_architecture" else 0.0)
    reports = []
    for epoch in range(1, epochs + 1):
        gain = 1 - np.exp(-epoch / 1.6)
        reports.append(
            {
                **_common("retraining", method, seed, epoch, epochs),
                **architecture(options),
                "search_seed": search_seed,
                "train_loss": 2.3 - 2.2 * gain,
                "train_accuracy": 0.1 + 0.89 * gain,
                "test_loss": 2.3 - 2.15 * gain,
                "test_accuracy": 0.1 + (top - 0.1) * min(gain * 1.002, 1.0) + rng.normal(0, 0.001),
                "parameters": 73_306 + 1_000 * int(rng.integers(0, 9)),
                "flops": 9.2e6,
                **changes,
            }
        )
    return reports


def architecture(options: list[str]) -> dict:
    """The three columns of a NAS-Bench-201 cell."""
    names = [f"edge_{start}_{end}" for start, end in EDGES]
    chosen = dict(zip(EDGES, options, strict=True))
    text = "+".join(
        "|" + "|".join(f"{chosen[(start, end)]}~{start}" for start in range(end)) + "|" for end in (1, 2, 3)
    )
    edges = [[str(start), str(end), option] for (start, end), option in chosen.items()]
    return {
        "architecture": json.dumps(dict(zip(names, options, strict=True))),
        "architecture_text": text,
        "architecture_graph": json.dumps({"nodes": ["0", "1", "2", "3"], "edges": edges}),
    }


def _common(kind: str, method: str, seed: int, epoch: int, epochs: int) -> dict:
    config = {"method": method, "space": "nasbench201", "task": "digits", "seed": seed, "epochs": epochs}
    return {
        "kind": kind,
        "method": method,
        "space": "nasbench201",
        "task": "digits",
        "seed": seed,
        "split_seed": 0,
        "metric": "accuracy",
        "higher_is_better": True,
        "epoch": epoch,
        "epochs": epochs,
        "learning_rate": 0.025,
        "samples_per_second": 5200.0 + seed,
        "wall_seconds": 1.4 * epoch,
        "device_seconds": 1.4 * epoch,
        "peak_memory_bytes": 6.1e8,
        "device": "cpu",
        "versions": VERSIONS,
        "config_json": json.dumps(config),
    }


def write_output(folder: Path) -> Path:
    """The output folder of a whole main job: 4 + 2 + 2 searches, their children, one random child, one failed trial."""
    number = 0
    for method, seeds in (("asng", 4), ("random_search", 2), ("darts", 2)):
        for seed in range(seeds):
            write_trial(folder / "tune" / "search", f"ab12f_{number:05d}", search_reports(method, seed))
            write_trial(folder / "tune" / "retraining", f"cd34e_{number:05d}", retraining_reports(method, seed))
            number += 1
    write_trial(folder / "tune" / "retraining", "cd34e_00099", retraining_reports("random_architecture", -1))
    error = "Failure # 1 (occurred at 2026-03-01_11-00-00)\nTraceback\nRuntimeError: out of memory\n"
    config = {"method": "gaea", "seed": 7}
    write_trial(folder / "tune" / "search", "ab12f_00098", [], error=error, config=config)
    return folder
