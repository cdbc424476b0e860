"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH…", help="Recordings, or text transcripts.")
]
Llm = Annotated[
    str | None,
    typer.Option(
        "--llm",
        help="Language model: embedded:NAME, ollama:NAME, openai:NAME or URL#NAME.",
        show_default=False,
    ),
]
FlagshipLlm = Annotated[
    str | None,
    typer.Option("--flagship-llm", help="Another one for the verdicts.", show_default=False),
]
Asr = Annotated[
    str | None,
    typer.Option(
        "--asr", help="Speech model: a faster-whisper name or folder.", show_default=False
    ),
]
Language = Annotated[
    str | None,
    typer.Option("--language", help="ISO 639-1; detected if left out.", show_default=False),
]
MaxWorkers = Annotated[
    int | None,
    typer.Option("--max-workers", min=1, help="LLM calls at once.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per job, on stdout.")]

JobArgument = Annotated[
    str, typer.Argument(metavar="JOB", help="A job's id, or the beginning of it.")
]
