"""What was served: watched for drift before any label comes, and joined to labels by receipt."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy.exc import OperationalError

from commands.loop import labels
from commands.served import served
from data.inbox import waiting
from data.ledger import Ledger
from data.readers import read_batch
from data.sources import Arrival
from deployments.line import Line, read_line
from deployments.scoring import OnnxModel
from deployments.served import holds_receipts, tell_labels, watch_served
from deployments.settings import Settings
from service.core import now
from service.served import Versions
from tests.service.plant import Plant, make_plant, trained_version
from tests.service.test_inference import INFER, body, wait_until

RNG = np.random.default_rng(0)


@pytest.fixture
def plant(tmp_path: Path, home: Path) -> Plant:
    plant = make_plant(tmp_path, home)
    plant.deliver(1)
    plant.promote(0)
    return plant


@pytest.fixture
def client(plant: Plant, client_of: Callable[[str], httpx.Client]) -> httpx.Client:
    return client_of("predict")


def line_of(plant: Plant) -> Line:
    return read_line(plant.pipeline, Settings(home=plant.home))


def ask(client: httpx.Client, plant: Plant, readings: Any) -> list[str]:
    """Predict; the ids of the receipts, once all of them are on disk."""
    receipt = client.post(INFER, json=body(np.asarray(readings, np.float32))).json()["parameters"]["receipt_id"]
    request, first = receipt.split("-")
    wait_until(lambda: plant.ledger.prediction(request) is not None)
    return [f"{request}-{int(first) + i}" for i in range(len(readings))]


def plain(samples: int, heat: float = 900) -> Any:
    return np.stack([RNG.normal(heat, 10, samples), RNG.normal(60, 3, samples)], 1)


def file_of(ids: Sequence[str], given: Sequence[str], name: str = "labels.csv") -> Arrival:
    rows = "".join(f"{i},{label}\n" for i, label in zip(ids, given, strict=True))
    return Arrival(name, f"prediction_id,quality\n{rows}".encode(), "csv")


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


def test_labels_by_receipt_score_the_version_that_answered_and_its_rows_wait_to_be_learned_from_once(
    client: httpx.Client, plant: Plant, tmp_path: Path
) -> None:
    readings = plain(40)
    ids = ask(client, plant, readings)
    truth = ["good" if (h - 900) / 10 + (s - 60) / 3 > 0 else "bad" for h, s in readings]
    line, inbox = line_of(plant), tmp_path / "inbox"
    told = tell_labels(line, inbox, file_of([*ids[:30], "0" * 20 + "-1"], [*truth[:30], "good"]))
    ((version, (samples, scores)),) = told.scores.items()
    assert (version, samples, told.not_kept, told.known) == (1, 30, 1, 0)
    answered = OnnxModel(trained_version(0).onnx).predict(readings[:30].astype(np.float32)).argmax(1)
    assert scores["accuracy"] == np.mean([["bad", "good"][best] for best in answered] == np.array(truth[:30]))
    (file,) = waiting(inbox)
    batch = read_batch(Arrival(file.name, file.read_bytes(), "csv"), line.schema)
    assert batch["quality"].to_list() == truth[:30]
    assert np.allclose(batch["heat"].to_numpy(), readings[:30, 0].astype(np.float32))
    wrong = {"bad": "good", "good": "bad"}
    given = [truth[28], wrong[truth[29]], *truth[30:], wrong[truth[35]]]
    again = tell_labels(line, inbox, file_of([*ids[28:], ids[35]], given))
    assert (again.known, again.contradicted) == (1, (ids[35], ids[29]))
    assert len(waiting(inbox)) == 2
    assert tell_labels(line, inbox, file_of(ids[:30], truth[:30])).batch is None


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


def test_labels_of_classes_that_a_version_does_not_know_are_named(
    client: httpx.Client, plant: Plant, tmp_path: Path
) -> None:
    ids = ask(client, plant, plain(2))
    told = tell_labels(line_of(plant), tmp_path / "inbox", file_of(ids, ["ugly", "good"]))
    assert told.unknown_classes == ("ugly",)
    assert told.scores[1][0] == 1


def test_the_command_takes_receipts_and_says_what_is_missing(
    client: httpx.Client, plant: Plant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = ask(client, plant, plain(3))
    file = tmp_path / "labels.csv"
    file.write_bytes(file_of(ids, ["good"] * 3).content)
    labels(plant.pipeline, [file], home=plant.home)
    assert "version 1: 3 predictions" in capsys.readouterr().out
    other = tmp_path / "other.csv"
    other.write_text("part,quality\n1,good\n")
    with pytest.raises(ValueError, match="some of the files"):
        labels(plant.pipeline, [file, other], home=plant.home)
    nothing = Arrival("x.csv", b"prediction_id\na-1\n", "csv")
    assert holds_receipts(nothing)
    with pytest.raises(ValueError, match="prediction_id and quality"):
        tell_labels(line_of(plant), tmp_path / "inbox", nothing)


def test_a_pipeline_whose_batches_have_more_than_rows_scores_but_does_not_learn(tmp_path: Path, home: Path) -> None:
    keyed = line_of(make_plant(tmp_path, home, key="part"))
    told = tell_labels(keyed, tmp_path / "inbox", file_of(["0" * 20 + "-1"], ["good"]))
    assert (told.not_kept, told.batch) == (1, None)
