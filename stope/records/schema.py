"""The tables. ``migrations/`` makes them; a test holds the two equal."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from stope.records.texts import AnyText, CutText

HEAD = "0004"
"""The newest migration."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_when = DateTime(timezone=True)

_model_name = AnyText().with_variant(String(200), "sqlite")
"""SQLite looks at no length, and a large ledger is not copied to say so."""

source = Table(
    "source",
    metadata,
    Column("path", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("inode", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    comment="Digests of input files, so that an unchanged file is not hashed again.",
)

job = Table(
    "job",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("type", String(16), nullable=False),
    Column("input_json", JSON, nullable=False),
    Column("config_json", JSON, nullable=False),
    Column("namespace", String(64), nullable=False),
    Column("parent_id", String(64)),
    Column("options_json", JSON),
    Column("status", String(24), nullable=False),
    Column("result_json", JSON),
    Column("result_namespace", String(64)),
    Column("created_at", _when, nullable=False),
    comment="A request and its result. The id is a hash of type, input, config and recipe.",
)

job_run = Table(
    "job_run",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("job_id", String(64), ForeignKey("job.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("workflow_id", String(128), nullable=False),
    Column("temporal_run_id", String(64)),
    Column("pipeline_run_id", String(64)),
    Column("namespace", String(64)),
    Column("status", String(24), nullable=False),
    Column("result_json", JSON),
    Column("checkpoint_json", JSON),
    Column("checkpoint_attempt", Integer, nullable=False, server_default="0"),
    Column("checkpoint_version", Integer, nullable=False, server_default="0"),
    Column("error_code", String(64)),
    Column("error_message", AnyText),
    Column("metrics_json", JSON),
    Column("created_at", _when, nullable=False),
    Column("finished_at", _when),
    UniqueConstraint("job_id", "attempt"),
    Index("ix_job_run_pipeline_run_id", "pipeline_run_id"),
    comment="One attempt at a job, with its mirrored checkpoint.",
)

plan = Table(
    "plan",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("stage", String(16), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", _when, nullable=False),
    comment="The ordered units of a stage, as JSON. Immutable.",
)

unit = Table(
    "unit",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("stage", String(16), nullable=False),
    Column("output", LargeBinary, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("created_at", _when, nullable=False),
    comment="Committed unit outputs, as JSON. Immutable.",
)

llm_answer = Table(
    "llm_answer",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("request_key", String(64), nullable=False),
    Column("model", _model_name, nullable=False),
    Column("request_json", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("finish_reason", CutText(32), nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", AnyText),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("cost_usd", Float),
    Column("latency", Float, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("job_id", String(64)),
    Column("run_id", String(64)),
    Column("stage", String(16)),
    Column("content_key", String(64)),
    Column("created_at", _when, nullable=False),
    Index("ix_llm_answer_content_key", "content_key"),
    Index("ix_llm_answer_request_key", "request_key"),
    Index(
        "uq_llm_answer_accepted",
        "request_key",
        unique=True,
        sqlite_where=text("status = 'accepted'"),
        postgresql_where=text("status = 'accepted'"),
    ),
    comment="Every answer a model gave: received, then accepted or rejected.",
)

claim = Table(
    "claim",
    metadata,
    Column("output_id", String(80), primary_key=True),
    Column("claim_id", String(16), primary_key=True),
    Column("segment_id", String(16), nullable=False),
    Column("text", AnyText, nullable=False),
    Column("type", String(16), nullable=False),
    Column("stance", String(16), nullable=False),
    comment="The claims of a mining result.",
)

evidence = Table(
    "evidence",
    metadata,
    Column("output_id", String(80), primary_key=True),
    Column("claim_id", String(16), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("quote", AnyText, nullable=False),
    Column("alignment", String(12), nullable=False),
    Column("score", Float, nullable=False),
    Column("char_start", Integer),
    Column("char_end", Integer),
    Column("first_word", Integer),
    Column("end_word", Integer),
    Column("start", Float),
    Column("end", Float),
    Column("speaker", AnyText),
    comment="Where in the transcript each claim stands.",
)

verdict = Table(
    "verdict",
    metadata,
    Column("output_id", String(80), primary_key=True),
    Column("claim_id", String(16), primary_key=True),
    Column("decision", String(8), nullable=False),
    Column("canonical_text", AnyText, nullable=False),
    Column("importance", Integer, nullable=False),
    Column("novelty", Integer, nullable=False),
    Column("confidence", Integer, nullable=False),
    Column("reasoning", AnyText, nullable=False),
    Column("tier", String(1), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("merged_into", String(16)),
    Column("split_into", JSON),
    comment="The verdicts of a flagship result.",
)

speaker_name = Table(
    "speaker_name",
    metadata,
    Column("transcript_digest", String(64), primary_key=True),
    Column("speaker", AnyText, primary_key=True),
    Column("name", AnyText, nullable=False),
    comment="Names people gave to the speakers of a transcript, whatever job leads to it.",
)

lease = Table(
    "lease",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("expires_at", Float, nullable=False),
    comment="Who is making what just now, so that others wait for it. expires_at is Unix time.",
)

run_use = Table(
    "run_use",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("name", String(160), primary_key=True),
    Index("ix_run_use_key", "key"),
    comment="What a run needs: plans, units and artifacts, each with its name in the run.",
)

answer_use = Table(
    "answer_use",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("answer_id", String(32), primary_key=True),
    Column("stage", String(16), nullable=False),
    Column("how", String(8), nullable=False),
    Column("created_at", _when, nullable=False),
    Index("ix_answer_use_answer_id", "answer_id"),
    comment="The answers a run used: paid for by it, reused, or taken over from another model.",
)

upload_receipt = Table(
    "upload_receipt",
    metadata,
    Column("destination", Text, primary_key=True),
    Column("item_id", String(160), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("receipt_json", JSON, nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("created_at", _when, nullable=False),
    comment="What a destination said to each item it was given.",
)
