"""``stope doctor``: what this machine has, and every setting."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil

import typer
from pydantic import SecretStr

from cli.console import FAILED, out, print_json, settings_with_logging, start
from cli.options import AsJson
from client import connect_temporal
from stope import __version__
from stope.artifacts import ArtifactStore
from stope.dev_server import DevServer
from stope.errors import StopeError
from stope.llm.spec import parse_model
from stope.models_cache import CATALOGUE, ModelsCache
from stope.objects.address import without_secrets
from stope.records.database import Database
from stope.records.sources import SourceDigests
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(as_json: AsJson = False) -> None:
    """Check this machine: settings, stores, models, server. Exit code 1 if something is amiss."""
    settings = settings_with_logging()
    checks = start(_checks(settings))
    variables = _variables(settings)
    if as_json:
        print_json({"version": __version__, "checks": checks, "settings": variables})
    else:
        out.print(
            f"stope {__version__}, Python {platform.python_version()}, {os.cpu_count()} cores"
        )
        for check in checks:
            mark = "ok  " if check["ok"] else "FAIL"
            out.print(f"{mark} {check['name']}: {check['message']}", markup=False)
        out.print("settings (environment variables):")
        for name, (value, meaning) in variables.items():
            out.print(f"  {name}={value}  {meaning}", markup=False)
    if not all(check["ok"] for check in checks):
        raise typer.Exit(FAILED)


async def _checks(settings: Settings) -> list[dict[str, object]]:
    checks: list[dict[str, object]] = []

    def add(name: str, ok: bool, message: str) -> None:
        checks.append({"name": name, "ok": ok, "message": message})

    try:
        database = Database(settings.records_url)
        try:
            await database.migrate()
            add("records", True, database.display_url)
            await _check_artifacts(settings, database, add)
        finally:
            await database.close()
    except StopeError as error:
        add("records", False, str(error))
        add("artifacts", False, "not looked at: the records say whether their folder is the one")
    free = shutil.disk_usage(settings.home if settings.home.exists() else settings.home.anchor).free
    add("disk", free > 1e9, f"{free / 1e9:.1f} GB free at {settings.home}")
    _check_models(settings, add)
    await _check_temporal(settings, add)
    return checks


async def _check_artifacts(settings: Settings, database: Database, add: object) -> None:
    assert callable(add)  # noqa: S101  (a local function)
    try:
        store = ArtifactStore(settings.artifact_store_url, records=SourceDigests(database))
        await store.check()
        add("artifacts", True, store.url)
    except StopeError as error:
        add("artifacts", False, str(error))


def _check_models(settings: Settings, add: object) -> None:
    assert callable(add)  # noqa: S101  (a local function)
    cache = ModelsCache(settings.models, settings.hub_timeout)
    names = [settings.asr]
    try:
        spec = parse_model(settings.llm)
    except StopeError as error:
        add("language model", False, str(error))
        return
    if spec.provider == "embedded":
        names.append(spec.model)
    for name in names:
        if name not in CATALOGUE:
            add(f"model {name}", True, "not one of ours; it is looked at when it is loaded")
        elif cache.present(CATALOGUE[name]):
            add(f"model {name}", True, str(cache.path(CATALOGUE[name])))
        else:
            add(f"model {name}", True, "not here yet; `stope models pull` or the first run gets it")


async def _check_temporal(settings: Settings, add: object) -> None:
    assert callable(add)  # noqa: S101  (a local function)
    if settings.temporal_address is None:
        info = await asyncio.to_thread(DevServer(settings).running)
        if info is None:
            add("temporal", True, "embedded; not running, the next run starts it")
            return
    try:
        client = await connect_temporal(settings)
        add("temporal", True, f"answers at {client.service_client.config.target_host}")
    except StopeError as error:
        add("temporal", False, str(error))


def _variables(settings: Settings) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for name, field in Settings.model_fields.items():
        alias = getattr(field.validation_alias, "choices", None)
        variable = str(alias[0]) if alias else f"STOPE_{name.upper()}"
        value = getattr(settings, name)
        shown = "(set)" if isinstance(value, SecretStr) else str(value if value is not None else "")
        if name == "artifacts_url":
            # What does not belong into it is refused, and must not be shown for that.
            shown = without_secrets(shown)
        found[variable] = (shown, field.description or "")
    return found
