"""The command line: `ray-asng ...` or `python -m ray_asng ...`.

Heavy packages are imported by the commands that need them, so that `--help` answers at once.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial, reduce
from pathlib import Path
from typing import Any

import click

from ray_asng.job_options import DEFAULT, DEFAULT_METHODS, DEFAULT_SEEDS, DEFAULT_SPACE, DEFAULT_TASK
from ray_asng.version import __version__


class _Command(click.Command):
    """Shows the package's own errors as one line, not as a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, TypeError, RuntimeError, OSError) as error:
            if isinstance(error, click.exceptions.Exit | click.Abort):
                raise
            raise click.ClickException(_message(error)) from error


def _message(error: Exception) -> str:
    """The words of an error; those of the operating system without their number."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ray-asng")
def main() -> None:
    """One-shot neural architecture search on Ray Tune."""


_RUN_OPTIONS = (
    click.option("--overwrite", is_flag=True, help="Remove the results that --output holds, and begin anew."),
    click.option("--resume", is_flag=True, help="Go on with what was interrupted in --output."),
    click.option("--max-concurrent", type=click.IntRange(1), help="Trials at a time.  [default: what fits]"),
    click.option("--data-dir", type=click.Path(path_type=Path), help="Data sets.  [default: $RAY_ASNG_DATA]"),
)
_CONFIG_HELP = "Any other key of a search's config, such as lr=0.1 or space_options='{\"width\": 16}'."
_EPOCHS_HELP = f"Epochs of a retraining; 0 leaves it out.  [default: {DEFAULT['retrain_epochs']}]"
_RETRAIN_HELP = "Any setting of a retraining, such as lr=0.05 or parameter_limit=4000000."
_RANDOM_HELP = "Uniformly drawn architectures that are retrained for comparison."
_HAND_MADE_HELP = "Retrainings of the network's own hand-made architecture, if it has one, for comparison."
# What searching and retraining share.
_JOB_OPTIONS = (
    click.option("--smoke", is_flag=True, help="Everything in under a minute, at a size without meaning."),
    *_RUN_OPTIONS,
    click.option("--random-architectures", type=click.IntRange(0), default=1, show_default=True, help=_RANDOM_HELP),
    click.option("--hand-made", type=click.IntRange(0), default=1, show_default=True, help=_HAND_MADE_HELP),
    click.option("--set-retrain", "retrain_settings", multiple=True, metavar="KEY=JSON", help=_RETRAIN_HELP),
    click.option("--retrain-epochs", type=click.IntRange(0), help=_EPOCHS_HELP),
    click.option("--set", "settings", multiple=True, metavar="KEY=JSON", help=_CONFIG_HELP),
    click.option("--task", help=f"Data and loss; see `ray-asng list`.  [default: {DEFAULT_TASK}]"),
    click.option("--space", help=f"Network; see `ray-asng list`.  [default: {DEFAULT_SPACE}]"),
    click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder of all that is written."),
)


def _with(options: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    """Several options as one decorator."""
    return lambda command: reduce(lambda decorated, option: option(decorated), options, command)


@main.command(cls=_Command)
@_with(_JOB_OPTIONS)
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="NAME[:SEEDS]",
    help=f"A method and its number of seeds; may be given many times.  [default: {' '.join(DEFAULT_METHODS)}]",
)
@click.option("--seeds", type=click.IntRange(1), help=f"Of methods without :SEEDS.  [default: {DEFAULT_SEEDS}]")
@click.option("--recipe", "recipe_name", metavar="NAME", help="A recipe of `ray-asng list`; other options go over it.")
@click.option("--epochs", type=click.IntRange(1), help=f"Length of a search.  [default: {DEFAULT['epochs']}]")
@click.option(
    "--patience",
    type=click.IntRange(1),
    help="End searches that have converged or collapsed, and stood so for that many epochs.  [default: never]",
)
def search(output: Path, resume: bool, overwrite: bool, **options: Any) -> None:
    """Search by several methods and seeds side by side, retrain what was found, and report.

    With --recipe: a published experiment, or a reduced form of one. Without options beside --output: the NAS-Bench-201
    cell on handwritten digits, in about four minutes on two cores.
    """
    _start_job(output, resume, overwrite, options)


def _start_job(output: Path, resume: bool, overwrite: bool, options: dict[str, Any]) -> None:
    """Run the main job of `options` in `output`, or go on with it."""
    from ray_asng.job_options import job_fields
    from ray_asng.raytune.experiment import Job, run_job

    def begin() -> Job:
        return Job.load(output) if resume else Job(output=output, command=_typed(), **job_fields(**options))

    _start(output, resume, overwrite, begin, run_job)


def _start(output: Path, resume: bool, overwrite: bool, begin: Callable[[], Any], run: Callable[..., Any]) -> None:
    """Run what `begin` gives, a job or a study, in `output`, and say where everything is.

    Where nothing is to be resumed, it is saved first. Nothing is written before it was built once without an error.
    """
    from ray_asng.output_folder import remove, require_writable, written_before

    if resume:
        _refuse_beside_resume()
    present = written_before(output)
    if present and not (resume or overwrite):
        raise FileExistsError(
            f"{output} already holds {', '.join(path.name for path in present)}; go on with --resume, begin anew with "
            "--overwrite, or choose another --output"
        )
    job = begin()
    rehearsal = job.rehearse()
    require_writable(output)
    if not resume:
        for path in present:
            remove(path)
        job.save()
    try:
        report = run(job, rehearsal)
    except KeyboardInterrupt:
        command = click.get_current_context().info_name
        raise click.ClickException(f"interrupted; go on with: ray-asng {command} --output {output} --resume") from None
    click.echo(report.table)
    for sentence in report.missing:
        click.echo(f"Missing: {sentence}")
    titles = ("summary.md", "report.html", "figures", "results.parquet", "best_architecture.json", "best_child.pt")
    click.echo("\nWritten: " + ", ".join(str(output / title) for title in titles if (output / title).exists()))


@main.command(cls=_Command)
@click.argument("file", required=False)
@_with(_RUN_OPTIONS)
@click.option("--smoke", "size", flag_value="smoke", help="The same as --size smoke.")
@click.option("--size", help="One of the sizes that FILE has.  [default: the study as it stands]")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=JSON", help="A key of a search's config, for all trials."
)
@click.option("--dry-run", is_flag=True, help="Build every search once, show what would run, and leave it at that.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder of all that is written.")
def study(file: str, output: Path, resume: bool, overwrite: bool, dry_run: bool, **options: Any) -> None:
    """Run a study: the methods, spaces, tasks, settings and seeds of FILE as one experiment.

    FILE is YAML or Python (`ray_asng.study` says what it holds), or the name of a ready one, see `ray-asng list`.
    """
    from ray_asng.raytune.study_run import StudyRun, plan_text, run_study
    from ray_asng.typed import key_values

    needed = {"FILE": file or (resume and not dry_run), "--output": output or dry_run}
    if not all(needed.values()):
        raise click.UsageError(f"name {' and '.join(name for name, given in needed.items() if not given)}")
    given = key_values("--set", options.pop("settings"))
    data_dir = options.pop("data_dir")
    if data_dir is not None:
        given["data_dir"] = str(data_dir.resolve())
    begin = partial(StudyRun.read, file, output=output, given=given, command=_typed(), **options)
    if dry_run:
        click.echo(plan_text(begin()))
    else:
        _start(output, resume, overwrite, partial(StudyRun.load, output) if resume else begin, run_study)


def _refuse_beside_resume() -> None:
    """A job goes on as it was begun; an option that would change it must not be ignored in silence."""
    context = click.get_current_context()
    typed = [
        parameter.opts[0]
        for parameter in context.command.params
        if context.get_parameter_source(str(parameter.name)) is click.core.ParameterSource.COMMANDLINE
    ]
    others = [name for name in typed if name not in ("--output", "--resume")]
    if others:
        raise click.UsageError(f"--resume goes on with the job as it was begun; leave out {', '.join(others)}")


def _typed() -> str:
    return shlex.join(["ray-asng", *sys.argv[1:]])


@main.command(cls=_Command)
@click.argument("architectures", metavar="ARCHITECTURE...", nargs=-1)
@_with(_JOB_OPTIONS)
@click.option(
    "--seeds", type=click.IntRange(1), default=1, show_default=True, help="Retrainings of each: seeds 0, 1, ..."
)
def retrain(output: Path, resume: bool, overwrite: bool, architectures: tuple[str, ...], **options: Any) -> None:
    """Train each ARCHITECTURE from scratch and test it.

    An ARCHITECTURE is the path of a best_architecture.json, a JSON object from decision to option, or the notation of
    the space, such as a NAS-Bench-201 string.
    """
    from ray_asng.typed import architecture_text

    if not architectures and not resume:
        raise click.UsageError("name at least one ARCHITECTURE")
    options["retrain_seeds"] = options.pop("seeds")
    texts = [architecture_text(given) for given in architectures]
    _start_job(output, resume, overwrite, {**options, "architectures": texts, "methods": None, "seeds": None})


@main.command(cls=_Command)
@click.argument("given", metavar="DIR_OR_FILE", type=click.Path(path_type=Path, exists=True))
@click.option("--weights", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Of a FILE without any.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="NAME",
    help="state_dict, torch_export or onnx; may be given many times.  [default: all that are installed]",
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Data sets.  [default: $RAY_ASNG_DATA]")
@click.option("--set", "settings", multiple=True, metavar="KEY=JSON", help="A key of the search's config.")
@click.option("--overwrite", is_flag=True, help="Replace the export that --output holds.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder of all that is written.")
def export(settings: tuple[str, ...], data_dir: Path | None, **options: Any) -> None:
    """Write a retrained network for use elsewhere: its weights with a recipe, a torch.export program, and ONNX.

    DIR_OR_FILE is the folder that `ray-asng search` or `ray-asng retrain` left, the folder of one retraining in it, a
    best_child.pt, or a best_architecture.json beside one (else with --weights, and --set space_options=JSON as the
    network was built). What is written is compared with the network on test data of its task.
    """
    from ray_asng.export.command import export_found
    from ray_asng.typed import key_values

    data = {} if data_dir is None else {"data_dir": str(data_dir.resolve())}
    try:
        export_found(settings={**key_values("--set", settings), **data}, say=click.echo, **options)
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from error


@main.command(cls=_Command)
@click.argument("experiment", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder for results.parquet.")
@click.option("--overwrite", is_flag=True, help="Replace the results.parquet that is there.")
def collect(experiment: Path, output: Path, overwrite: bool) -> None:
    """Make one Parquet data set of what `tune.run` or `Tuner` wrote to EXPERIMENT."""
    from ray_asng.output_folder import require_writable
    from ray_asng.results.collect import collect as collect_table
    from ray_asng.results.store import write_table

    path = output / "results.parquet"
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; replace it with --overwrite or choose another --output")
    table = collect_table(experiment, _typed())
    require_writable(output)
    write_table(table, path)
    click.echo(f"{table.num_rows} rows in {path}; `ray-asng report {output}` makes tables and figures of them")


@main.command(cls=_Command)
@click.argument("experiment", type=click.Path(path_type=Path, exists=True, file_okay=False))
def repair(experiment: Path) -> None:
    """Let interrupted trials of EXPERIMENT go on from their newest good checkpoint.

    For an experiment of Ray Tune, or the output folder of a job, that no longer runs and of which a checkpoint, or the
    state that its driver was copying when it was killed, is damaged. Afterwards resume it as usual. Damaged
    checkpoints and the former state are kept under other names.
    """
    from ray_asng.raytune.repair import repair as repair_experiment
    from ray_asng.results.collect import experiment_folders

    done = [repair_experiment(folder.resolve()) for folder in experiment_folders(experiment)]
    for line in (line for repaired in done for line in repaired.lines):
        click.echo(line)
    for path in (path for repaired in done for path in repaired.copied):
        click.echo(f"{path.name}: was cut, and is whole again from the driver's own copy")
    backups = [str(repaired.backup) for repaired in done if repaired.backup]
    changed = [repaired for repaired in done if repaired.backup or repaired.copied]
    if not changed:
        click.echo("\nNo checkpoint is damaged; nothing was changed.")
        return
    if backups:
        click.echo(f"\nThe former state is kept in {', '.join(backups)}.")
    for next_step in dict.fromkeys(repaired.next_step for repaired in changed):
        click.echo(f"Go on with: {next_step}")


@main.command(cls=_Command)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def report(folder: Path) -> None:
    """Make summary.md and the figures of FOLDER anew from its results.parquet."""
    from ray_asng.results.report import write_report

    written = write_report(folder)
    click.echo(written.table)
    click.echo(f"\n{written.summary}\n{len(written.figures)} figures in {folder / 'figures'}")


@main.command("list", cls=_Command)
def list_names() -> None:
    """List the built-in methods, spaces and tasks, the recipes and the ready studies."""
    from ray_asng import registry
    from ray_asng.recipes import RECIPES
    from ray_asng.study.source import read_source, ready_studies

    for title, names in (("methods", registry.methods), ("spaces", registry.spaces), ("tasks", registry.tasks)):
        click.echo(title)
        for name in names:
            first_line = (names[name].__doc__ or "").strip().splitlines()[0]
            click.echo(f"  {name:<14} {first_line}")
    click.echo("recipes")
    for name, recipe in RECIPES.items():
        click.echo(f"  {name:<24} {recipe.about}\n{'':26} Cost: {recipe.cost}.\n{'':26} Aim: {recipe.aim}.")
    click.echo("studies")
    for name, path in ready_studies().items():
        click.echo(f"  {name:<20} {read_source(path).content['about']}")


@main.command(cls=_Command)
@click.argument("task")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of data sets.  [default: $RAY_ASNG_DATA]")
@click.option("--set", "settings", multiple=True, metavar="KEY=JSON", help="Options of the task, such as size=16.")
def prepare(task: str, data_dir: Path | None, settings: tuple[str, ...]) -> None:
    """Download and decode the data of TASK ahead of trials."""
    from ray_asng.config import SearchConfig
    from ray_asng.tasks.prepare import prepare as prepare_task
    from ray_asng.typed import key_values

    options = key_values("--set", settings)
    SearchConfig.from_mapping({"seed": 0, "task": task, "task_options": options})  # unknown names are refused there
    click.echo(prepare_task(task, data_dir=data_dir, **options))
