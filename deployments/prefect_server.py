"""Prefect's server, in which whoever writes to SQLite waits for its turn before it reads.

Prefect begins most transactions deferred. One that has read and then finds, when it writes, that another wrote in
between fails at once with "database is locked": after four such failures in a row the server drops an event, and what
the failed ones leave to the garbage collector can hold the whole server up for SQLite's sixty seconds.

`python -m deployments.prefect_server server start` is `prefect server start`.
"""

import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prefect.server.api import server
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.settings import get_current_settings
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

ROOT = Path(__file__).parents[1]

_begin = AioSqliteConfiguration.begin_transaction


@asynccontextmanager
async def _begin_in_turn(
    self: AioSqliteConfiguration, session: AsyncSession, with_for_update: bool = False
) -> AsyncGenerator[AsyncSessionTransaction]:
    async with _begin(self, session, with_for_update=True) as transaction:
        yield transaction


def take_turns() -> None:
    """Let this process's server begin every transaction on SQLite with the right to write."""
    AioSqliteConfiguration.begin_transaction = _begin_in_turn


def create_app() -> Any:
    """Prefect's application, for uvicorn."""
    take_turns()
    return server.create_app()


def replace_temporary_servers() -> None:
    """Let Prefect start this server where it starts a temporary one: for flows without a server of the user's."""
    server.SubprocessASGIServer._run_uvicorn_command = _start_temporary  # pyright: ignore[reportPrivateUsage]


def _start_temporary(self: server.SubprocessASGIServer) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT), "--factory", f"{__name__}:create_app"]
    place = ["--host", "127.0.0.1", "--port", str(self.port), "--log-level", "error", "--lifespan", "on"]
    kind = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    return subprocess.Popen([*command, *place], env={**os.environ, **kind, **settings})


if __name__ == "__main__":
    from prefect.cli import app

    take_turns()
    app()
