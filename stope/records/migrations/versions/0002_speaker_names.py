"""Names of speakers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "speaker_name",
        sa.Column("transcript_digest", sa.String(length=64), nullable=False),
        sa.Column("speaker", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("transcript_digest", "speaker", name=op.f("pk_speaker_name")),
        comment="Names people gave to the speakers of a transcript, whatever job leads to it.",
    )


def downgrade() -> None:
    op.drop_table("speaker_name")
