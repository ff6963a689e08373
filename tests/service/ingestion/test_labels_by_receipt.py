"""Labels of what was served, told by receipt: with the command, and over HTTP."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from commands.loop import labels
from data.inbox import waiting
from data.readers import read_batch
from data.sources import Arrival
from deployments.line import Line, read_line
from deployments.scoring import OnnxModel
from deployments.served_labels import holds_receipts, tell_labels
from deployments.settings import Settings
from tests.service.inference.asking import ask, plain
from tests.service.plant import Plant, make_plant, trained_version

LABELS = "/api/v1/pipelines/line/labels"


@pytest.fixture
def pipelines(plant: Plant) -> list[Path]:
    return [plant.pipeline]


@pytest.fixture
def client(client_of: Callable[[str], httpx.Client]) -> httpx.Client:
    return client_of("predict")


@pytest.fixture
def plant(tmp_path: Path, home: Path) -> Plant:
    plant = make_plant(tmp_path, home)
    plant.deliver(1)
    plant.promote(0)
    return plant


def line_of(plant: Plant) -> Line:
    return read_line(plant.pipeline, Settings(home=plant.home))


def accuracy(readings: Any, truth: list[str]) -> float:
    """Of the version in production."""
    answered = OnnxModel(trained_version(0).onnx).predict(readings.astype(np.float32)).argmax(1)
    return float(np.mean([["bad", "good"][best] for best in answered] == np.array(truth)))


def file_of(ids: Sequence[str], given: Sequence[str], name: str = "labels.csv") -> Arrival:
    rows = "".join(f"{i},{label}\n" for i, label in zip(ids, given, strict=True))
    return Arrival(name, f"prediction_id,quality\n{rows}".encode(), "csv")


def test_labels_by_receipt_score_the_version_that_answered_and_its_rows_wait_to_be_learned_from_once(
    client: httpx.Client, plant: Plant, tmp_path: Path
) -> None:
    readings = plain(40)
    ids = ask(client, plant, readings)
    truth = ["good" if (h - 900) / 10 + (s - 60) / 3 > 0 else "bad" for h, s in readings]
    line, inbox = line_of(plant), tmp_path / "inbox"
    no_such_sample = f"{ids[0].split('-')[0]}-41"
    told = tell_labels(line, inbox, file_of([*ids[:30], no_such_sample], [*truth[:30], "good"]))
    ((version, (samples, scores)),) = told.scores.items()
    assert (version, samples, told.not_kept, told.known) == (1, 30, 1, 0)
    assert scores["accuracy"] == accuracy(readings[:30], truth[:30])
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


def test_labels_of_classes_that_a_version_does_not_know_are_named(
    client: httpx.Client, plant: Plant, tmp_path: Path
) -> None:
    ids = ask(client, plant, plain(2))
    with pytest.raises(ValueError, match="its classes are bad, good"):
        tell_labels(line_of(plant), tmp_path / "inbox", file_of(ids, ["ugly", "good"]))
    told = tell_labels(line_of(plant), tmp_path / "inbox", file_of(ids, ["ugly", "good"]), new_classes=True)
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


def test_a_pipeline_whose_batches_have_more_than_rows_scores_but_does_not_learn(
    client: httpx.Client, plant: Plant, tmp_path: Path
) -> None:
    ids = ask(client, plant, plain(3))
    line = line_of(plant)
    keyed = replace(line, schema=replace(line.schema, key=("part",)))
    told = tell_labels(keyed, tmp_path / "inbox", file_of(ids, ["good"] * 3))
    assert (told.scores[1][0], told.batch) == (3, None)
    assert told.why_not is not None
    assert "part" in told.why_not
    assert waiting(tmp_path / "inbox") == []


def told_over_http(client: httpx.Client, file: Arrival, **query: bool) -> httpx.Response:
    return client.post(LABELS, params={"filename": file.name, **query}, content=file.content)


def test_labels_by_receipt_come_over_http_once_and_say_how_the_version_did(
    plant: Plant, client_of: Callable[[str], httpx.Client], home: Path
) -> None:
    readings, ingest = plain(40), client_of("ingest")
    ids = ask(client_of("predict"), plant, readings)
    truth = ["good" if (h - 900) / 10 + (s - 60) / 3 > 0 else "bad" for h, s in readings]
    key = {"Idempotency-Key": "shift-3"}
    rows = [{"prediction_id": name, "quality": label} for name, label in zip(ids[:30], truth, strict=False)]
    answers = [ingest.post(LABELS, json={"labels": rows}, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    told = answers[0].json()
    assert answers[1].json() == told
    (score,) = told["scores"]
    assert (score["version"], score["predictions"]) == (1, 30)
    assert score["metrics"]["accuracy"] == accuracy(readings[:30], truth[:30])
    (file,) = waiting(home / "line" / "inbox")
    assert file.name == f"served-{told['batch_id']}.csv"
    assert ingest.get(f"/api/v1/pipelines/line/batches/{told['batch_id']}").json()["state"] == "waiting"
    again = told_over_http(ingest, file_of(ids, truth)).json()
    assert (again["known"], again["scores"][0]["predictions"], again["contradicted"]) == (30, 10, [])
    assert [path.name for path in (home / "line" / "inbox").iterdir() if path.name.endswith(".part")] == []


def test_what_no_version_knows_is_refused_whole_with_what_is_allowed(
    plant: Plant, client_of: Callable[[str], httpx.Client], home: Path
) -> None:
    ingest, ids = client_of("ingest"), ask(client_of("predict"), plant, plain(2))
    strange = told_over_http(ingest, file_of([*ids, "0" * 20 + "-1", "7"], ["good", "bad", "good", "bad"]))
    assert strange.status_code == 422
    assert "has the receipt 00000000000000000000-1, 7; its receipts are" in strange.json()["detail"]
    ugly = file_of(ids, ["ugly", "good"])
    refused = told_over_http(ingest, ugly)
    assert refused.status_code == 422
    assert "no version knows the class ugly; its classes are bad, good" in refused.json()["detail"]
    assert waiting(home / "line" / "inbox") == []
    taken = told_over_http(ingest, ugly, new_classes=True)
    assert (taken.status_code, taken.json()["unknown_classes"]) == (202, ["ugly"])


def test_labels_that_are_none_are_refused(plant: Plant, client_of: Callable[[str], httpx.Client]) -> None:
    ingest = client_of("ingest")
    wrong: dict[bytes, str] = {
        b"{": "not JSON",
        b"[]": "the document",
        b'{"labels": []}': "labels: list should have at least 1 item",
        b'{"labels": [{"prediction_id": ["a"], "quality": "good"}]}': "labels.0.prediction_id",
        b'{"labels": [{"prediction_id": "a"}]}': "prediction_id and quality",
        b'{"labels": [{"prediction_id": "a", "quality": "good"}, {"quality": "bad"}]}': "labels.1",
        b'{"labels": [{"part": 7, "quality": "good"}]}': "data.key",
    }
    for sent, said in wrong.items():
        answer = ingest.post(LABELS, content=sent, headers={"Content-Type": "application/json"})
        assert answer.status_code in (409, 422), sent
        assert said in answer.json()["detail"], answer.json()
    large = ingest.post(LABELS, json={"labels": [{"prediction_id": "a" * 2**20, "quality": "good"}]})
    assert (large.status_code, "send a file" in large.json()["detail"]) == (413, True)
    predict = client_of("predict").post(LABELS, json={"labels": [{"prediction_id": "a-1", "quality": "good"}]})
    assert predict.status_code == 403


def test_two_who_bring_the_same_labels_at_once_bring_them_once(
    plant: Plant, client_of: Callable[[str], httpx.Client], home: Path
) -> None:
    ids = ask(client_of("predict"), plant, plain(20))
    files = [file_of(ids[start:], ["good"] * (20 - start)) for start in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda file: told_over_http(client_of("ingest"), file).json(), files))
    assert sum(score["predictions"] for told in answers for score in told["scores"]) == 20
    rows = [file.read_text().splitlines()[1:] for file in waiting(home / "line" / "inbox")]
    assert sum(map(len, rows)) == 20
