"""Predictions beside a loop that ran: each has a receipt, and whatever is tampered with is named."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from commands import receipts
from data.inputs import read_inputs
from data.sources import Arrival, read_arrival
from deployments.answers import predict_file
from deployments.line import Line, open_ledger, open_line, read_line
from deployments.predicting import Predicted, predict
from deployments.promotion import roll_back
from deployments.receipt_text import receipt_lines
from deployments.receipts import find_prediction, receipt_of
from deployments.registry import Registry
from deployments.settings import Settings
from deployments.verification import Verified, verify
from tests.flows.conftest import PIPELINE
from tests.flows.test_learn_continuously import run

AT = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pipeline, a home that three batches went through, and a file of later rows with a prediction."""
    from data.synthetic import write_line

    folder = tmp_path_factory.mktemp("ran")
    write_line(folder / "source", batches=4, rows=200)
    later = pl.read_csv(folder / "source" / "line-04.csv")
    (folder / "source" / "line-04.csv").unlink()
    later.drop("defect", "time").select(reversed(later.columns[1:-1])).write_csv(folder / "later.csv")
    (folder / "line.yaml").write_text(PIPELINE)
    run(folder / "line.yaml", folder / "source", folder / "home")
    predict_file(folder / "line.yaml", Settings(home=folder / "home"), folder / "later.csv", folder / "out.csv", AT)
    return folder


@pytest.fixture
def copied(ran: Path, tmp_path: Path) -> Path:
    """The same, to be tampered with."""
    shutil.copytree(ran, tmp_path / "copied")
    return tmp_path / "copied"


def line_of(folder: Path) -> Line:
    return read_line(folder / "line.yaml", Settings(home=folder / "home"))


def ask(folder: Path, text: str) -> Predicted:
    line = line_of(folder)
    return predict(line, read_inputs(Arrival("asked.csv", text.encode(), "csv"), line.schema, 1), AT)


def receipt(folder: Path, prediction_id: str, given: Path | None = None) -> dict[str, Any]:
    settings = Settings(home=folder / "home")
    place = find_prediction(open_ledger(settings), settings.home, prediction_id)
    return receipt_of(open_ledger(settings), place, None if given is None else read_arrival(given))


def check(folder: Path, expected: str | None = None) -> Verified:
    settings = Settings(home=folder / "home")
    return verify(open_ledger(settings), settings.home, ["line"], expected)


def test_every_prediction_resolves_to_all_that_led_to_it(ran: Path) -> None:
    answers = pl.read_csv(ran / "out.csv")
    assert answers.columns == ["row", "prediction", "probability", "prediction_id"]
    assert answers["row"].to_list() == [*range(1, 201)]
    champion = open_ledger(Settings(home=ran / "home")).champion("line")
    assert champion is not None
    for answer in answers[[0, 77, 199]].rows(named=True):
        found = receipt(ran, answer["prediction_id"], ran / "later.csv")
        assert found["prediction"]["prediction"] == answer["prediction"]
        assert found["prediction"]["probability"] == pytest.approx(answer["probability"])
        assert (found["given"]["matches"], found["given"]["same_file"]) == (True, True)
        assert (found["model"]["version"], found["production"]["in_production_now"]) == (champion.version, True)
        assert found["verdict"] == champion.verdict
        assert all(c["passed"] for c in found["verdict"]["checks"])
        assert found["decision"]["reason"]
        assert [batch["batch"] for batch in found["data"]] == [*range(1, found["run"]["batch"] + 1)]
        assert all(len(batch["rows_sha256"]) == 64 for batch in found["data"])
        json.dumps(found, allow_nan=False)


def test_the_run_of_a_receipt_is_in_mlflow(ran: Path) -> None:
    from mlflow import MlflowClient

    found = receipt(ran, pl.read_csv(ran / "out.csv")["prediction_id"][0])
    run = MlflowClient(Settings(home=ran / "home").tracking_uri).get_run(found["run"]["mlflow_run"])
    assert run.data.params["version"] == str(found["model"]["version"])
    assert run.data.tags["lehr_batch"] == found["run"]["batch_id"]


def test_predictions_are_those_of_the_network_on_the_same_rows(copied: Path) -> None:
    """Column order, file format and company make no difference."""
    answers = pl.read_csv(copied / "out.csv")
    rows = pl.read_csv(copied / "later.csv")
    rows[10:20].select(sorted(rows.columns)).write_parquet(copied / "ten.parquet")
    ten = predict_file(
        copied / "line.yaml", Settings(home=copied / "home"), copied / "ten.parquet", copied / "o.parquet", AT
    )
    assert ten.frame["prediction"].to_list() == answers["prediction"][10:20].to_list()
    assert pl.read_parquet(copied / "o.parquet").equals(ten.frame)


def test_another_row_is_not_the_one_that_was_predicted(ran: Path) -> None:
    first = pl.read_csv(ran / "out.csv")["prediction_id"][0]
    rows = pl.read_csv(ran / "later.csv")
    rows.reverse().write_csv(ran / "reversed.csv")
    given = receipt(ran, first, ran / "reversed.csv")["given"]
    assert (given["matches"], given["same_rows"]) == (False, [200])
    rows.with_columns(pl.lit(1.0).alias("o2_pct")).write_csv(ran / "other.csv")
    text = "\n".join(receipt_lines(receipt(ran, first, ran / "other.csv")))
    assert "row 1 of other.csv is NOT what was predicted, and no other row of it is" in text


def test_one_request_is_one_row_and_one_file_and_the_loop_may_run(copied: Path) -> None:
    settings = Settings(home=copied / "home")
    text = (copied / "later.csv").read_text()
    with open_line(copied / "line.yaml", settings, []) as at_work:
        assert at_work.ledger.champion("line") is not None
        asked = ask(copied, text)
    assert len(open_ledger(settings).predictions("line")) == 2
    assert len([*(copied / "home" / "line" / "predictions").rglob("*.parquet")]) == 2
    assert ask(copied, text).request == asked.request, "the very same request at the same moment is the same"
    assert check(copied).changes == ()


def test_a_rollback_changes_who_answers_and_the_receipt_says_so(copied: Path) -> None:
    first = pl.read_csv(copied / "out.csv")["prediction_id"][0]
    before = receipt(copied, first)
    settings = Settings(home=copied / "home")
    registry = Registry(settings.tracking_uri, "line")
    promotion = roll_back(open_ledger(settings), registry, "line", "line 3 complains", None)
    after = receipt(copied, first)
    assert after["model"] == before["model"]
    assert after["production"]["ended_by"] == {
        "version": promotion.version,
        "reason": "rolled back: line 3 complains",
    }
    assert "then version" in "\n".join(receipt_lines(after))
    asked = ask(copied, (copied / "later.csv").read_text())
    assert asked.version == promotion.version
    assert check(copied).changes == ()


@pytest.mark.parametrize(
    ("prediction_id", "said"),
    [
        ("12", "'12' is no prediction id: those look like"),
        ("0" * 20 + "-1", "there is no prediction 00000000000000000000-1 in the ledger"),
    ],
)
def test_an_id_that_does_not_exist_is_refused(ran: Path, prediction_id: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        receipt(ran, prediction_id)


def test_a_row_that_was_not_predicted_is_refused(ran: Path) -> None:
    request = pl.read_csv(ran / "out.csv")["prediction_id"][0].split("-")[0]
    with pytest.raises(ValueError, match=r"row 201 of the request .* was not predicted"):
        receipt(ran, f"{request}-201")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def files_of(folder: Path) -> list[Path]:
    """Every file of versions, store and predictions."""
    home = folder / "home" / "line"
    found = [path for part in ("versions", "store", "predictions") for path in (home / part).rglob("*")]
    return sorted(path.relative_to(folder) for path in found if path.is_file())


@pytest.mark.parametrize("harm", [flip, Path.unlink])
def test_every_file_that_is_changed_or_missing_is_named(copied: Path, harm: Callable[[Path], None]) -> None:
    files = files_of(copied)
    assert {path.name for path in files} >= {"model.onnx", "reference.npz", "memory.parquet", "card.json"}
    whole = check(copied)
    assert (whole.changes, whole.notes) == ((), ())
    for name in files:
        content = (copied / name).read_bytes()
        harm(copied / name)
        assert any(change.where.endswith(str(name)) for change in check(copied).changes), name
        (copied / name).write_bytes(content)
    assert check(copied) == whole


def test_swapped_versions_are_named(copied: Path) -> None:
    versions = copied / "home" / "line" / "versions"
    (versions / "1").rename(versions / "x")
    (versions / "2").rename(versions / "1")
    (versions / "x").rename(versions / "2")
    named = [change.where for change in check(copied).changes]
    assert named == [str(versions / "1" / "card.json"), str(versions / "2" / "card.json")]


def test_what_lies_beside_is_named(copied: Path) -> None:
    home = copied / "home" / "line"
    (home / "versions" / "1" / "patch.py").write_text("x")
    stored = next((home / "store").rglob("*.parquet"))
    shutil.copy(stored, stored.with_name("planted.parquet"))
    found = check(copied)
    assert [c.where for c in found.changes] == [str(home / "versions" / "1" / "patch.py")]
    assert len(found.notes) == 1
    assert "planted.parquet belongs to no stored batch, and no reader sees it" in found.notes[0]


def test_a_whole_version_forged_with_its_card_is_named(copied: Path) -> None:
    """The card's own hash is in the ledger, and the ledger's row is in the chain."""
    from deployments.versions import load_version, save_version

    folder = copied / "home" / "line" / "versions" / "1"
    digest = open_ledger(Settings(home=copied / "home")).version_hash("line", 1)
    files = load_version(folder, digest)
    forged = save_version(folder, files.onnx, {**files.card, "strategy": "x"}, files.reference, files.memory)
    assert [c.where for c in check(copied).changes] == [str(folder / "card.json")]
    connection = sqlite3.connect(copied / "home" / "ledger.db")
    connection.execute("update versions set sha256 = ? where version = 1", (forged,))
    connection.commit()
    connection.close()
    assert [f"{c.where} {c.what}" for c in check(copied).changes] == ["ledger, versions line/1 was changed in sha256"]


def test_the_command_ends_with_status_one_and_keeps_its_head(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    receipts.verify(copied / "line.yaml", home=copied / "home")
    *_, said, head = capsys.readouterr().out.splitlines()
    assert said.endswith("hashes are as recorded")
    receipts.verify(expect=head.removeprefix("head "), home=copied / "home")
    flip(next((copied / "home" / "line" / "predictions").rglob("*.parquet")))
    with pytest.raises(SystemExit) as ended:
        receipts.verify(home=copied / "home")
    assert ended.value.code == 1
    with pytest.raises(ValueError, match=r"nothing to verify under .*nowhere"):
        receipts.verify(home=copied / "nowhere")


def test_the_commands_say_what_they_did(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    receipts.predict(copied / "line.yaml", copied / "later.csv", output=copied / "p.csv", home=copied / "home")
    assert "200 predictions of version" in capsys.readouterr().out
    prediction_id = pl.read_csv(copied / "p.csv")["prediction_id"][3]
    receipts.explain(prediction_id, home=copied / "home")
    shown = capsys.readouterr().out
    for word in ("prediction", "input", "model", "run", "decision", "drift", "data", "verdict", "production"):
        assert f"\n{word} " in "\n" + shown
    receipts.explain(prediction_id, as_json=True, home=copied / "home")
    assert json.loads(capsys.readouterr().out)["prediction"]["id"] == prediction_id
    with pytest.raises(ValueError, match=r"cannot write .*p.txt: its name must end in .csv or .parquet"):
        receipts.predict(copied / "line.yaml", copied / "later.csv", output=copied / "p.txt", home=copied / "home")


def test_nothing_in_production_predicts_nothing(tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text(PIPELINE)
    with pytest.raises(ValueError, match=r"nothing is known of the pipeline line under .*: lehr run it first"):
        line_of(tmp_path)
