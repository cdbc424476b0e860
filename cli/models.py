"""``stope models``: the weights on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

from cli.console import err, out, print_json, settings_with_logging, status
from cli.options import AsJson
from stope.errors import ModelFileError, UsageError
from stope.llm.spec import parse_model
from stope.models.job import Diarize, DiarizerName, InputKind, Job, JobType
from stope.models_cache import (
    CATALOGUE,
    EMBEDDING_MODEL,
    SPEAKER_MODEL,
    Model,
    ModelsCache,
)
from stope.settings import Settings

app = typer.Typer(no_args_is_help=True, help="List, fetch and verify model weights.")

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME…]", help="Default: what `stope run` uses.", show_default=False),
]


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models Stope knows, and which of them are here."""
    settings = settings_with_logging()
    cache = ModelsCache(settings.models, settings.hub_timeout)
    rows = [
        {
            "name": model.name,
            "kind": model.kind,
            "bytes": model.size,
            "licence": model.licence,
            "present": cache.present(model),
            "path": str(cache.path(model)),
        }
        for model in CATALOGUE.values()
    ]
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("name", "kind", "size", "licence", "here"):
        table.add_column(title)
    for row in rows:
        size = f"{int(str(row['bytes'])) / 1e6:.0f} MB"
        here = "yes" if row["present"] else "no"
        table.add_row(str(row["name"]), str(row["kind"]), size, str(row["licence"]), here)
    out.print(table)
    out.print(f"in {cache.folder}", markup=False)


@app.command("pull")
def pull(names: Names = None) -> None:
    """Fetch models: from the hub, else from the mirror; accepted by their SHA-256 only."""
    settings = settings_with_logging()
    cache = ModelsCache(settings.models, settings.hub_timeout)
    for model in _chosen(settings, names):
        _pull_one(cache, model)
        status(f"{model.name}: verified, in {cache.path(model)}")


def fetch_missing(settings: Settings, jobs: Iterable[Job]) -> None:
    """Fetch the weights that jobs will need and that are not here, with progress.

    What is here is hashed when it is loaded.
    """
    cache = ModelsCache(settings.models, settings.hub_timeout)
    for name in dict.fromkeys(name for job in jobs for name in _weights_of(job)):
        model = CATALOGUE.get(name)
        if model is None or cache.present(model):
            continue
        if name == SPEAKER_MODEL and settings.diarizer is not DiarizerName.EMBEDDED:
            continue
        try:
            _pull_one(cache, model)
        except ModelFileError as error:
            if name != SPEAKER_MODEL:
                raise
            # A job that requires speakers says so itself; the others go on without them.
            status(f"speakers cannot be told apart: {error}")


def _weights_of(job: Job) -> list[str]:
    if job.type in (JobType.UPLOAD, JobType.STEPS):
        return []
    specs = [parse_model(name) for name in (job.config.miner_model, job.config.flagship_model)]
    names = [EMBEDDING_MODEL, *(spec.model for spec in specs if spec.provider == "embedded")]
    if job.input.kind is InputKind.RECORDING:
        names.insert(0, job.config.asr_model)
        if job.config.diarize is not Diarize.OFF:
            names.insert(1, SPEAKER_MODEL)
    return names


def _pull_one(cache: ModelsCache, model: Model) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), DownloadColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal) as bar:
        tasks = {
            file.name: bar.add_task(file.name, total=file.size, visible=False)
            for file in model.files
        }

        def show(name: str, done: int, _total: int) -> None:
            bar.update(tasks[name], completed=done, visible=True)

        if not err.is_terminal and not cache.present(model):
            status(f"fetching {model.name} ({model.size / 1e6:.0f} MB)")
        cache.ensure(model, show)


@app.command("verify")
def verify(names: Names = None) -> None:
    """Hash every file of the models that are here against the publisher's SHA-256."""
    settings = settings_with_logging()
    cache = ModelsCache(settings.models, settings.hub_timeout)
    chosen = (
        _chosen(settings, names) if names else [m for m in CATALOGUE.values() if cache.present(m)]
    )
    for model in chosen:
        cache.verify(model)
        typer.echo(f"{model.name}: ok")


def _chosen(settings: Settings, names: list[str] | None) -> list[Model]:
    if not names:
        spec = parse_model(settings.llm)
        # Another speech model, or a remote one, is not ours to fetch.
        names = [settings.asr] if settings.asr in CATALOGUE else []
        names += [SPEAKER_MODEL, EMBEDDING_MODEL]
        names += [spec.model] if spec.provider == "embedded" else []
    for name in names:
        if name not in CATALOGUE:
            raise UsageError(f"There is no model {name!r}; `stope models list` shows them.")
    return [CATALOGUE[name] for name in names]
