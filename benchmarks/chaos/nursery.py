"""A warm process that forks workers: one that was killed is replaced without 2 s of imports.

``python -m benchmarks.chaos.nursery`` imports everything, and then forks a child for every line of
JSON on its standard input (``role``, ``environment``, ``log``). It says ``{"pid"}`` for each child,
and ``{"ended", "status"}`` when one is gone. Where it forks there is no event loop and no thread of
ours; onnxruntime brings one that nothing waits for. Its own end ends its children.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

import genai_prices.data  # noqa: F401  (else imported on first use, as are the next but one)
import openai

import stope.audio.activity
import stope.flagship.geometry  # noqa: F401  (the same)
from benchmarks.chaos.worker_main import ROLES


def _say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _become(asked: Mapping[str, Any]) -> int:
    """What a child does until it ends."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    log = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(asked["environment"])
    return ROLES[asked["role"]]()


def _fork(asked: Mapping[str, Any], children: set[int]) -> None:
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            status = _become(asked)
        except BaseException:  # noqa: BLE001  (told in the log; nothing of the parent's may run here)
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(status)
    children.add(pid)
    _say(pid=pid)


def _reap(children: set[int]) -> None:
    for pid in list(children):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            children.discard(pid)
            _say(ended=pid, status=os.waitstatus_to_exitcode(status))


def _woken(_number: int, _frame: FrameType | None) -> None:
    """A child ended: the wake-up pipe says so."""


def main() -> None:
    """Fork children until the standard input ends."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, _woken)
    children: set[int] = set()
    pending = b""
    # Another half second of imports, which a worker that has made a call before has behind it.
    _ = openai.AsyncOpenAI(api_key="none").chat.completions
    _say(ready=True)
    while True:
        readable, _, _ = select.select([0, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            _reap(children)
        if 0 in readable:
            data = os.read(0, 65536)
            if not data:
                break
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                _fork(json.loads(line), children)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
