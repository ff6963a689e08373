"""Alembic's entry: the ledger passes its own connection."""

from alembic import context

from data.tables import Table

context.configure(connection=context.config.attributes["connection"], target_metadata=Table.metadata)
with context.begin_transaction():
    context.run_migrations()
