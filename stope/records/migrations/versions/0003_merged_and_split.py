"""What merged and split claims became."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("verdict", sa.Column("merged_into", sa.String(length=16), nullable=True))
    op.add_column("verdict", sa.Column("split_into", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("verdict", "split_into")
    op.drop_column("verdict", "merged_into")
