"""What was served: watched for drift before any label comes, and joined to labels by receipt."""

import asyncio

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from commands.served import served
from data.ledger import Ledger
from deployments.line import Line, read_line
from deployments.served import watch_served
from deployments.settings import Settings
from service.core import now
from service.inference.served import Versions
from tests.service.inference.asking import ask, plain
from tests.service.plant import Plant


def line_of(plant: Plant) -> Line:
    return read_line(plant.pipeline, Settings(home=plant.home))


def test_drift_of_what_is_served_is_seen_before_any_label(
    client: httpx.Client, plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    assert watch_served(line_of(plant)) is None
    ask(client, plant, plain(200))
    usual = watch_served(line_of(plant))
    assert usual is not None
    assert (usual.version, usual.samples, usual.report.drifted) == (1, 200, False)
    for _ in range(3):
        ask(client, plant, plain(200, heat=930))
    moved = watch_served(line_of(plant))
    assert moved is not None
    assert moved.samples == 800
    assert moved.report.drifted
    assert moved.report.most_drifted(1) == ["heat"]
    served(plant.pipeline, home=plant.home)
    assert "800 predictions of version 1" in capsys.readouterr().out


class Locked(Ledger):
    """The first look after a promotion finds the database locked."""

    locked = False

    def pipelines(self) -> list[str]:
        if self.locked:
            self.locked = False
            raise OperationalError("select", {}, Exception("database is locked"))
        return super().pipelines()


def test_a_promotion_that_could_not_be_read_at_once_is_served_though_nothing_follows_it(plant: Plant) -> None:
    ledger = Locked(Settings(home=plant.home).ledger_url, now)
    versions = Versions(ledger, plant.home)

    async def serve() -> None:
        following = asyncio.create_task(versions.run())
        assert (await versions.champion("line")).version == 1  # pyright: ignore[reportOptionalMemberAccess]
        await asyncio.sleep(0.1)
        ledger.locked = True
        await asyncio.to_thread(plant.promote, 1)
        while (await versions.champion("line")).version != 2:  # pyright: ignore[reportOptionalMemberAccess]
            await asyncio.sleep(0.01)
        following.cancel()

    asyncio.run(asyncio.wait_for(serve(), 10))
