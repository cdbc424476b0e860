"""The scripted language model of the chaos sweeps, for tests."""

from __future__ import annotations

from benchmarks.chaos.answers import FLAGSHIP
from benchmarks.chaos.scripted_llm import ScriptedLlm

__all__ = ["FLAGSHIP", "ScriptedLlm"]
