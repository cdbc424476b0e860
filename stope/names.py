"""Names shared by workflows, activities, worker and client: queues, activities, workflow types."""

from __future__ import annotations

ORCHESTRATION_QUEUE = "orchestration"
SPEECH_QUEUE = "speech"
LLM_QUEUE = "llm"
QUEUES = (ORCHESTRATION_QUEUE, SPEECH_QUEUE, LLM_QUEUE)

OPEN_RUN = "open_run"
OPEN_STAGE = "open_stage"
SAVE_STAGE = "save_stage"
CLOSE_PIPELINE = "close_pipeline"
FAIL_RUN = "fail_run"
TRANSCRIBE_AUDIO = "transcribe_audio"
MINE_TRANSCRIPT = "mine_transcript"
EVALUATE_CLAIMS = "evaluate_claims"

REPORT_PROGRESS = "report_progress"
"""The signal that brings a running stage's progress to the workflows that show it."""

WORKFLOW_OF_TYPE = {
    "transcribe": "TranscribeWorkflow",
    "mine": "MineWorkflow",
    "flagship": "FlagshipWorkflow",
    "pipeline": "PipelineWorkflow",
}

SEARCH_ATTRIBUTES = {
    "StopeJobType": "Keyword",
    "StopeStage": "Keyword",
    "StopeSource": "Keyword",
    "StopeProgress": "Int",
}
"""By which the Web UI filters and sorts workflows: names and Temporal's types."""
