"""Predictions, and the chain over all rows that are written once; rows that are there become its first links."""

import sqlalchemy as sa
from alembic import op

from data.chain import append_links, parsed
from data.tables import UtcTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ORDER = {
    "pipelines": "name",
    "batches": "pipeline, number",
    "steps": "at, pipeline, batch_id, step",
    "versions": "pipeline, version",
    "promotions": "pipeline, sequence",
}


def upgrade() -> None:
    op.create_table(
        "chain",
        sa.Column("sequence", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("table", sa.String(50), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("row_sha256", sa.String(64), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
    )
    op.create_table(
        "predictions",
        sa.Column("request", sa.String(20), primary_key=True),
        sa.Column("pipeline", sa.String(200), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("version_sha256", sa.String(64), nullable=False),
        sa.Column("input_name", sa.String(), nullable=False),
        sa.Column("input_sha256", sa.String(64), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("record_sha256", sa.String(64), nullable=False),
    )
    op.create_index("ix_predictions_pipeline_at", "predictions", ["pipeline", "at"])
    connection = op.get_bind()
    for table, order in ORDER.items():
        rows = connection.execute(sa.text(f"select * from {table} order by {order}")).mappings()
        links = [(table, parsed(table, dict(row))) for row in rows]
        if links:
            append_links(connection, links)


def downgrade() -> None:
    for table in ("predictions", "chain"):
        op.drop_table(table)
