"""Leases, what runs and answers are used for, receipts of uploads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("job", sa.Column("options_json", sa.JSON(), nullable=True))
    op.add_column("job", sa.Column("result_namespace", sa.String(length=64), nullable=True))
    op.add_column("job_run", sa.Column("temporal_run_id", sa.String(length=64), nullable=True))
    op.add_column("job_run", sa.Column("pipeline_run_id", sa.String(length=64), nullable=True))
    op.create_index("ix_job_run_pipeline_run_id", "job_run", ["pipeline_run_id"])
    op.add_column("job_run", sa.Column("namespace", sa.String(length=64), nullable=True))
    op.add_column("job_run", sa.Column("result_json", sa.JSON(), nullable=True))
    op.execute(sa.text("UPDATE job_run SET temporal_run_id = run_id"))
    op.add_column("llm_answer", sa.Column("run_id", sa.String(length=64), nullable=True))
    op.add_column("llm_answer", sa.Column("stage", sa.String(length=16), nullable=True))
    op.add_column("llm_answer", sa.Column("content_key", sa.String(length=64), nullable=True))
    if op.get_bind().dialect.name != "sqlite":
        # SQLite looks at no length.
        op.alter_column("llm_answer", "model", type_=sa.Text())
    op.create_index("ix_llm_answer_content_key", "llm_answer", ["content_key"])
    op.create_table(
        "lease",
        sa.Column("key", sa.String(length=64), primary_key=True),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        comment="Who is making what just now, so that others wait for it. expires_at is Unix time.",
    )
    op.create_table(
        "run_use",
        sa.Column("run_id", sa.String(length=64), primary_key=True),
        sa.Column("kind", sa.String(length=8), primary_key=True),
        sa.Column("key", sa.String(length=64), primary_key=True),
        sa.Column("name", sa.String(length=160), primary_key=True),
        comment="What a run needs: plans, units and artifacts, each with its name in the run.",
    )
    op.create_index("ix_run_use_key", "run_use", ["key"])
    # Nobody noted what these runs needed: they may need anything that was made before they ended.
    op.execute(
        sa.text(
            "INSERT INTO run_use (run_id, kind, key, name) "
            "SELECT run_id, 'any', '', '' FROM job_run"
        )
    )
    op.create_table(
        "answer_use",
        sa.Column("run_id", sa.String(length=64), primary_key=True),
        sa.Column("answer_id", sa.String(length=32), primary_key=True),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("how", sa.String(length=8), nullable=False),
        sa.Column("created_at", _WHEN, nullable=False),
        comment="The answers a run used: paid for by it, reused, or taken over from another model.",
    )
    op.create_index("ix_answer_use_answer_id", "answer_use", ["answer_id"])
    op.create_table(
        "upload_receipt",
        sa.Column("destination", sa.Text(), primary_key=True),
        sa.Column("item_id", sa.String(length=160), primary_key=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("receipt_json", sa.JSON(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", _WHEN, nullable=False),
        comment="What a destination said to each item it was given.",
    )


def downgrade() -> None:
    for table in ("upload_receipt", "answer_use", "run_use", "lease"):
        op.drop_table(table)
    op.drop_index("ix_llm_answer_content_key", "llm_answer")
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("llm_answer", "model", type_=sa.String(length=200))
    for column in ("content_key", "stage", "run_id"):
        op.drop_column("llm_answer", column)
    op.drop_index("ix_job_run_pipeline_run_id", "job_run")
    for column in ("result_json", "namespace", "pipeline_run_id", "temporal_run_id"):
        op.drop_column("job_run", column)
    for column in ("result_namespace", "options_json"):
        op.drop_column("job", column)
