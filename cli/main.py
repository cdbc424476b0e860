"""The ``stope`` program: its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli import (
    cancel,
    checkpoint,
    doctor,
    export,
    fork,
    gc,
    jobs,
    models,
    pause,
    redo,
    result,
    resume,
    retry,
    run,
    speakers,
    submit,
    up,
    verify,
)
from cli import cost as cost_command
from cli import dataprep as dataprep_command
from cli import pipeline as pipeline_command
from cli import plan as plan_command
from cli import upload as upload_command
from cli import worker as worker_command
from cli.console import err, exit_code
from stope import __version__
from stope.errors import StopeError

app = typer.Typer(
    name="stope",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help=(
        "Durable speech-to-knowledge pipelines: a recording goes in; a transcript, claims with "
        "their evidence to the second, and ranked verdicts come out. Kill it at any moment and "
        "run it again: nothing that was finished is done twice."
    ),
    epilog="Start with: stope run interview.opus",
)


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"stope {__version__}\n")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


for command in (run, up, worker_command, submit, jobs, checkpoint, result, speakers):
    command.register(app)
for command in (resume, retry, redo, fork, pause, cancel):
    command.register(app)
for command in (export, upload_command, dataprep_command, pipeline_command, doctor):
    command.register(app)
for command in (plan_command, cost_command):
    command.register(app)
for command in (verify, gc):
    command.register(app)
app.add_typer(models.app, name="models")


def main() -> None:
    """Run the command line. A user's mistake is a sentence, never a traceback."""
    try:
        app()
    except StopeError as error:
        err.print(f"stope: {error}", markup=False)
        sys.exit(exit_code(error))
    except BrokenPipeError:
        # Whoever read our output has enough of it.
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
