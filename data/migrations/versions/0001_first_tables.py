"""The first tables: pipelines, batches, steps, versions, promotions."""

import sqlalchemy as sa
from alembic import op

from data.tables import UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pipelines",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("schema", sa.JSON(), nullable=False),
    )
    op.create_table(
        "batches",
        sa.Column("pipeline", sa.String(200), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("batch_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("arrived_at", UtcTime(), nullable=False),
        sa.UniqueConstraint("pipeline", "batch_id"),
    )
    op.create_table(
        "steps",
        sa.Column("pipeline", sa.String(200), primary_key=True),
        sa.Column("batch_id", sa.String(64), primary_key=True),
        sa.Column("step", sa.String(100), primary_key=True),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
    )
    op.create_table(
        "versions",
        sa.Column("pipeline", sa.String(200), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("parent", sa.Integer()),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("made_by", sa.String(50), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
    )
    op.create_table(
        "promotions",
        sa.Column("pipeline", sa.String(200), primary_key=True),
        sa.Column("sequence", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("previous", sa.Integer()),
        sa.Column("verdict", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
    )


def downgrade() -> None:
    for table in ("promotions", "versions", "steps", "batches", "pipelines"):
        op.drop_table(table)
