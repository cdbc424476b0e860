"""What every command shares: results on stdout, status on stderr, errors as one sentence."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shlex
import sys
from collections.abc import Coroutine
from typing import TypeVar

import typer
from rich.console import Console

from stope.errors import StopeError, UsageError
from stope.models.job import Job, JsonObject
from stope.settings import Settings, load_settings

FAILED = 1
USAGE = 2
WITH_GAPS = 3
PAUSED = 4
INTERRUPTED = 130

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

T = TypeVar("T")


def start(command: Coroutine[object, object, T]) -> T:
    """Run a command's coroutine; an interrupt leaves with 130."""
    try:
        return asyncio.run(command)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def settings_with_logging() -> Settings:
    """The settings, with logging set up as they say."""
    settings = load_settings()
    level = settings.log_level.upper()
    if level not in logging.getLevelNamesMapping():
        raise UsageError(
            f"STOPE_LOG_LEVEL is {settings.log_level!r}; use DEBUG, INFO, WARNING or ERROR."
        )
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    if level != "DEBUG":
        # The SDK reports every retry with a traceback; people see the sentence in the progress.
        logging.getLogger("temporalio").setLevel(logging.ERROR)
        logging.getLogger("temporalio.activity").setLevel(logging.CRITICAL)
    return settings


def status(message: str) -> None:
    """One line of status on stderr. Brackets in it are not markup."""
    err.print(message, markup=False)


def print_json(value: object) -> None:
    """One JSON value on one line of stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def job_json(job: Job, **more: object) -> JsonObject:
    """What every ``--json`` about a job carries."""
    body: JsonObject = {"job_id": job.id, "type": job.type.value, "status": job.status.value}
    if job.result is not None:
        body["result"] = job.result
    return body | more


def exit_code(error: StopeError) -> int:
    """2 for a mistake in the call, 1 for everything else."""
    return USAGE if isinstance(error, UsageError) else FAILED


def command_line(*words: str) -> str:
    """How to call us again, as this process was called: with the same home. Fit for a shell."""
    home = os.environ.get("STOPE_HOME")
    prefix = f"STOPE_HOME={shlex.quote(home)} " if home else ""
    return f"{prefix}stope {shlex.join(words)}"


def clock(seconds: float | None) -> str:
    """``MM:SS`` or ``H:MM:SS``; ``--:--`` when unknown."""
    if seconds is None:
        return "--:--"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
