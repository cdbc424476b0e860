"""Names shared by workflows, activities, worker and client: queues, activities, workflow types."""

from __future__ import annotations

ORCHESTRATION_QUEUE = "orchestration"
SPEECH_QUEUE = "speech"
LLM_QUEUE = "llm"
VISION_QUEUE = "vision"
QUEUES = (ORCHESTRATION_QUEUE, SPEECH_QUEUE, LLM_QUEUE, VISION_QUEUE)

OPEN_RUN = "open_run"
OPEN_STAGE = "open_stage"
SAVE_STAGE = "save_stage"
CLOSE_PIPELINE = "close_pipeline"
FAIL_RUN = "fail_run"
MARK_RUN = "mark_run"
OPEN_NEXT = "open_next"
TRANSCRIBE_AUDIO = "transcribe_audio"
MINE_TRANSCRIPT = "mine_transcript"
EVALUATE_CLAIMS = "evaluate_claims"
UPLOAD_KNOWLEDGE = "upload_knowledge"
OPEN_STEPS = "open_steps"
RUN_STEP = "run_step"
NOTE_STEP = "note_step"
CLOSE_STEPS = "close_steps"
COLLECT_GARBAGE = "collect_garbage"

GC_WORKFLOW = "GcWorkflow"
GC_SCHEDULE = "stope-gc"
"""Id of the schedule that clears out."""

REPORT_PROGRESS = "report_progress"
"""The signal that brings a running stage's progress to the workflows that show it."""

PAUSE = "pause"
"""The signal that makes a job wait, with a sentence that says why if there is one."""

UNPAUSE = "unpause"
"""The signal that lets it go on, with new limits if there are any."""

CHANGE = "change"
"""The signal that changes how a job is worked on, and leaves a pause as it is."""

REPORT_PAUSE = "report_pause"
"""The signal by which a stage tells its pipeline that it waits, or that it goes on."""

WORKFLOW_OF_TYPE = {
    "transcribe": "TranscribeWorkflow",
    "mine": "MineWorkflow",
    "flagship": "FlagshipWorkflow",
    "upload": "UploadWorkflow",
    "pipeline": "PipelineWorkflow",
    "steps": "StepPipelineWorkflow",
}

SEARCH_ATTRIBUTES = {
    "StopeJobType": "Keyword",
    "StopeStage": "Keyword",
    "StopeSource": "Keyword",
    "StopeProgress": "Int",
    "StopeGaps": "Int",
    "StopeCost": "Double",
}
"""By which the Web UI filters and sorts workflows: names and Temporal's types."""
