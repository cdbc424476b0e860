"""What a data preparation made, in a few lines."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from cli.console import out
from cli.standing import gap_line
from stope.models.dataprep import DatasetSummary, SetName
from stope.models.gap import Gap
from stope.models.job import Job
from stope.report.lines import one_line
from stope.vision.written import IMAGES, MANIFEST

_WIDEST = 100


def print_dataset(
    job: Job, summary: DatasetSummary, folder: Path, console: Console | None = None
) -> None:
    """Counts, what to know of it, gaps, and where it all is.

    Args:
        job: that made it.
        summary: of it.
        folder: where it was written.
        console: where to print; default: stdout.
    """
    console = console or out
    width = min(console.width, _WIDEST)

    def say(text: str, style: str = "") -> None:
        console.print(Text(one_line(text), style=style), width=width, soft_wrap=False)

    say(
        f"{_count(summary.videos, 'video')}, {_count(summary.frames, 'frame')}, "
        f"{_count(summary.boxes, 'crop')} of {_count(summary.subjects, 'subject')}, "
        f"{_count(summary.augmented, 'augmented image')}"
    )
    for name in SetName:
        console.print(
            Text(
                f"  {name.value:<10} {summary.images.get(name, 0):>7,} images "
                f"{summary.classes.get(name, 0):>6,} classes"
            )
        )
    for note in summary.notes:
        say(note, "yellow")
    gaps = (job.result or {}).get("gaps")
    found = [Gap.model_validate(gap) for gap in gaps] if isinstance(gaps, list) else []
    for gap in found:
        say(gap_line(gap), "yellow")
    say("")
    whole = f"complete but for {len(found)} gap{'s' if len(found) > 1 else ''} (exit code 3)"
    say(f"{whole if found else 'complete'}; written to:")
    # In one piece, however long: it is there to be copied.
    here = Path.cwd()
    near = folder.relative_to(here) if folder.is_relative_to(here) else folder
    console.print(Text(f"  {near / IMAGES}"), soft_wrap=True)
    sheets = [f"contact-{name.value}.png" for name in SetName if summary.images.get(name)]
    say("beside it: " + ", ".join([*sheets, MANIFEST]))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' if number != 1 else ''}"
