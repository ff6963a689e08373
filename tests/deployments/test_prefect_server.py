"""Prefect's server under writers that read first: none is refused, and nobody waits for anybody's garbage."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa
from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from deployments.prefect_server import take_turns

WRITERS, TURNS = 6, 20


async def count_together(url: str) -> int:
    """Writers that read a number, think, and write the next one; the last number."""
    config = AioSqliteConfiguration(connection_url=url, timeout=30)
    engine = await config.engine()

    async def count() -> None:
        for _ in range(TURNS):
            async with AsyncSession(engine) as session, config.begin_transaction(session):
                number = (await session.execute(sa.text("select number from numbers"))).scalar_one()
                await asyncio.sleep(0.001)
                await session.execute(sa.text("update numbers set number = :next"), {"next": number + 1})

    async with AsyncSession(engine) as session, config.begin_transaction(session, with_for_update=True):
        await session.execute(sa.text("create table numbers (number integer)"))
        await session.execute(sa.text("insert into numbers values (0)"))
    await asyncio.gather(*(count() for _ in range(WRITERS)))
    async with AsyncSession(engine) as session:
        last = (await session.execute(sa.text("select number from numbers"))).scalar_one()
    await engine.dispose()
    return last


def test_those_who_read_and_then_write_wait_for_their_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AioSqliteConfiguration, "begin_transaction", AioSqliteConfiguration.begin_transaction)
    take_turns()
    assert asyncio.run(count_together(f"sqlite+aiosqlite:///{tmp_path / 'turns.db'}")) == WRITERS * TURNS


def test_prefects_own_server_refuses_them(tmp_path: Path) -> None:
    """Once this fails, Prefect has mended it and ours is not needed any more."""
    if "_begin_in_turn" in AioSqliteConfiguration.begin_transaction.__qualname__:
        pytest.skip("this process has ours")
    with pytest.raises(OperationalError, match="database is locked"):
        asyncio.run(count_together(f"sqlite+aiosqlite:///{tmp_path / 'locked.db'}"))
