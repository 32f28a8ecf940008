"""The small form of every recipe, searched and retrained under real Ray."""

import pytest

from ray_asng.job_options import job_fields
from ray_asng.raytune.experiment import Job, run_job
from ray_asng.recipes import RECIPES
from ray_asng.results.store import read_table

# One of each kind of network runs in `make test`, the others in `make test-all`.
QUICK = ("paper_cifar10", "laptop_inpainting_int", "laptop_darts_cifar10")


@pytest.mark.ray
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in RECIPES]
)
def test_the_smoke_form_of_a_recipe_searches_and_retrains_what_it_finds(name, tmp_path, ray_session):
    fields = job_fields(
        methods=(),
        seeds=None,
        space=None,
        task=None,
        settings=(),
        retrain_epochs=None,
        retrain_settings=(),
        random_architectures=0,
        hand_made=1,
        data_dir=None,
        max_concurrent=None,
        smoke=True,
        recipe_name=name,
    )
    job = Job(output=tmp_path, **fields)
    rehearsal = job.rehearse()
    job.save()
    run_job(job, rehearsal)
    rows = read_table(tmp_path / "results.parquet").to_pylist()
    expected = {(kind, *job.methods) for kind in ("search", "retraining")}
    if "inpainting" in name:
        expected.add(("retraining", "hand_made"))
    assert {(row["kind"], row["method"]) for row in rows} == expected
    assert (tmp_path / "best_child.pt").is_file()
    for report in (tmp_path / "summary.md", tmp_path / "report.html"):
        assert ("Restored images" in report.read_text()) == ("inpainting" in name)
    assert (tmp_path / "figures" / "restored.png").is_file() == ("inpainting" in name)


@pytest.mark.parametrize("name", [name for name in RECIPES if not name.startswith("laptop_")])
def test_the_published_form_of_a_recipe_can_be_resumed_from_its_job(name, tmp_path):
    given = dict.fromkeys(("seeds", "space", "task", "retrain_epochs", "data_dir", "max_concurrent"))
    listed = dict.fromkeys(("methods", "settings", "retrain_settings"), ())
    job = Job(
        output=tmp_path,
        **job_fields(**given, **listed, random_architectures=1, hand_made=1, smoke=False, recipe_name=name),
    )
    job.save()
    assert Job.load(tmp_path).retraining == job.retraining
    assert Job.load(tmp_path).config == job.config
