"""Batches without labels, and labels that come late, in parts, out of order, twice, or before their batch."""

import os
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.late_labels import LabelStore
from data.ledger import Ledger
from deployments.verification import verify
from tests.flows.late_stream import PIPELINE, ROWS, batch, labels, ledger, run, stored, truth, unlabelled, write
from tests.flows.test_kills import ended, kill_after, start


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "line.yaml"
    path.write_text(PIPELINE)
    return path


def test_a_batch_without_its_target_is_watched_and_learned_from_when_its_labels_come(
    pipeline: Path, tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox"
    write(inbox, "01.csv", batch(1))
    write(inbox, "02.csv", unlabelled(2))
    write(inbox, "03.csv", unlabelled(3).with_columns(side=pl.lit(None, pl.String)))
    first, *without = run(pipeline, inbox)
    assert first["promoted"]
    for record in without:
        assert (record["status"], record["rows"], record["score_before"]) == ("accepted", ROWS, None)
        assert set(record["drift"]["features"]) == set("abc")
        assert record["drift"]["predictions"] is not None
        assert record["drift"]["target"] is None
        assert record["decision"]["action"] == "none"
        assert "0 rows since it last learned" in record["decision"]["reason"]
        assert record["gate"] is None
    write(inbox, "04-labels.csv", labels(2))
    *_, late = run(pipeline, inbox)
    assert late["labels"] == {"known": 0, "waiting": 0, "batches": [2]}
    assert (late["batch"], late["rows"]) == (4, ROWS)
    assert late["score_before"]["accuracy"] > 0.8
    assert late["decision"] == {"action": "update", "reason": "200 rows since it last learned", "fired": ["rows"]}
    assert late["gate"] is not None
    rows = stored(pipeline)
    assert rows.group_by("lehr_batch").len().sort("lehr_batch")["len"].to_list() == [ROWS] * 3
    known = rows.drop_nulls("side")
    assert dict(known.select("piece", "side").iter_rows()) == truth([1, 2])


def test_labels_in_parts_out_of_order_twice_and_before_their_batch(pipeline: Path, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    for number in (1, 2, 3):
        write(inbox, f"0{number}.csv", batch(1) if number == 1 else unlabelled(number))
    second, third, fourth = labels(2), labels(3), labels(4)
    files = {
        "04-third.csv": third[:150],
        "05-part.csv": second[:80],
        "06-part-and-known.csv": pl.concat([second[60:], second[:5]]),
        "07-early.parquet": pl.concat([fourth[:40], third[150:]]),
    }
    for name, frame in files.items():
        if name.endswith("csv"):
            write(inbox, name, frame)
        else:
            frame.write_parquet(inbox / name)
    write(inbox, "08.csv", unlabelled(4))
    write(inbox, "09-rest.csv", fourth)
    records = {record["name"]: record for record in run(pipeline, inbox)}
    said = {name: records[name]["labels"] for name in (*files, "09-rest.csv")}
    assert said["04-third.csv"] == {"known": 0, "waiting": 0, "batches": [3]}
    assert said["06-part-and-known.csv"] == {"known": 25, "waiting": 0, "batches": [2]}
    assert said["07-early.parquet"] == {"known": 0, "waiting": 40, "batches": [3]}
    assert said["09-rest.csv"] == {"known": 40, "waiting": 0, "batches": [8]}
    assert records["08.csv"]["score_before"] is not None, "forty labels waited for the batch"
    assert [records[name]["rows"] for name in said] == [150, 80, 120, 50, 160]
    assert dict(stored(pipeline).select("piece", "side").iter_rows()) == truth([1, 2, 3, 4])
    home = pipeline.parent / "home"
    assert not verify(ledger(pipeline), home, ["line"]).changes
    store = LabelStore(home / "line" / "labels")
    kept = store.read()
    assert kept is not None
    store.append("forged", 99, kept[:1].drop("lehr_labelled"))
    (forged,) = verify(ledger(pipeline), home, ["line"]).changes
    assert forged.what == "was put in by other means than lehr's"
    renamed = inbox.rename(tmp_path / "again")
    assert {record["status"] for record in run(pipeline, renamed)} == {"duplicate"}
    learned = [ledger(pipeline).outcomes("line", step) for step in ("store", "labels")]
    labelled = [o.get("rows_labelled", o.get("rows", 0)) for part in learned for o in part.values()]
    assert sum(labelled) == 4 * ROWS, "every label was learned from under one number"


def test_what_is_no_label_goes_to_quarantine_with_its_reason(pipeline: Path, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    write(inbox, "01.csv", batch(1))
    write(inbox, "02.csv", unlabelled(2))
    run(pipeline, inbox)
    true = labels(2)
    other = pl.when(pl.col("side") == "up").then(pl.lit("down")).otherwise(pl.lit("up")).alias("side")
    bad = [
        true[:1].with_columns(piece=pl.lit(None, pl.Int64)),
        true[1:2].with_columns(side=pl.lit(None, pl.String)),
        true[2:3],
        true[2:3].with_columns(other),
        labels(1)[7:8].with_columns(other),
    ]
    write(inbox, "03-labels.csv", pl.concat([*bad, true[10:20]]))
    record = run(pipeline, inbox)[-1]
    assert (record["status"], record["rows"], record["rows_quarantined"]) == ("accepted", 10, 5)
    rows = pl.read_parquet(pipeline.parent / "home" / "line" / "quarantine" / f"{record['id']}.parquet")
    assert rows["reason"].to_list() == [
        "the key is not whole: one of line, piece is empty",
        "there is no label",
        "the file gives the key 2 labels",
        "the file gives the key 2 labels",
        f"it contradicts the label {labels(1)['side'][7]} of batch 1, row 8",
    ]
    assert dict(stored(pipeline).filter(pl.col("lehr_batch") == 1).select("piece", "side").iter_rows()) == truth([1])


def test_a_batch_whose_keys_came_before_is_refused(pipeline: Path, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    write(inbox, "01.csv", batch(1))
    write(inbox, "02.csv", unlabelled(2))
    write(inbox, "03.csv", unlabelled(2).with_columns(pl.col("a") + 1))
    write(inbox, "04.csv", pl.concat([unlabelled(4), unlabelled(4)[:3].with_columns(pl.col("a") + 1)]))
    *_, again, twice = run(pipeline, inbox)
    assert again["status"] == "quarantined"
    assert "is that of a row of batch 2, so a later label would not find its row" in again["reason"]
    assert (twice["rows"], twice["rows_quarantined"]) == (ROWS - 3, 6)


def test_without_a_key_labels_are_no_labels(pipeline: Path, tmp_path: Path) -> None:
    pipeline.write_text(pipeline.read_text().replace(", key: [line, piece]", ", features: {include: [a, b, c]}"))
    inbox = tmp_path / "inbox"
    write(inbox, "01.csv", batch(1))
    write(inbox, "02.csv", unlabelled(2))
    write(inbox, "03-labels.csv", labels(2))
    records = run(pipeline, inbox)
    assert [record["status"] for record in records] == ["accepted", "quarantined", "quarantined"]
    assert "missing column 'side'" in records[1]["reason"]


class DiedError(RuntimeError):
    """What stands for a kill."""


@pytest.mark.parametrize(
    ("step", "written"),
    [
        ("labels", False),
        pytest.param("store", False, marks=pytest.mark.torture),
        pytest.param("watch", True, marks=pytest.mark.torture),
    ],
)
def test_a_run_that_dies_over_labels_goes_on(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, written: bool
) -> None:
    """It dies before or after a step's line in the journal; the next run ends as if nothing had happened."""
    inbox = tmp_path / "inbox"
    write(inbox, "01.csv", batch(1))
    run(pipeline, inbox)
    write(inbox, "02.csv", unlabelled(2))
    write(inbox, "03-labels.csv", pl.concat([labels(2)[:120], labels(4)[:30]]))
    write(inbox, "04.csv", unlabelled(4))
    write(inbox, "05-labels.csv", pl.concat([labels(2), labels(4)]))
    write_down, lives = Ledger.record_step, iter([True, False] if step != "store" else [False])

    def record(self: Ledger, name: str, batch_id: str, key: str, result: Any) -> None:
        dies = key == step and not next(lives, True)
        if written or not dies:
            write_down(self, name, batch_id, key, result)
        if dies:
            raise DiedError

    monkeypatch.setattr(Ledger, "record_step", record)
    with pytest.raises(DiedError):
        run(pipeline, inbox)
    records = run(pipeline, inbox)
    monkeypatch.undo()
    home = ledger(pipeline)
    taken = {number: (o["rows"], o["known"], o["waiting"]) for number, o in _labels_taken(pipeline).items()}
    assert taken == {3: (120, 0, 30), 5: (250, 150, 0)}
    assert dict(stored(pipeline).select("piece", "side").iter_rows()) == truth([1, 2, 4])
    assert stored(pipeline).height == 3 * ROWS
    assert records[-1]["champion"] == home.champion("line").version  # pyright: ignore[reportOptionalMemberAccess]


@pytest.mark.torture
def test_a_killed_process_loses_no_label(pipeline: Path, tmp_path: Path) -> None:
    """SIGKILL while labels are taken, at another moment for each seed of LEHR_KILL_SEED."""
    inbox, home, generator = tmp_path / "inbox", tmp_path / "home", random.Random(os.environ.get("LEHR_KILL_SEED", "0"))
    write(inbox, "01.csv", batch(1))
    write(inbox, "02.csv", unlabelled(2))
    write(inbox, "03-labels.csv", pl.concat([labels(2)[:120], labels(4)[:30]]))
    write(inbox, "04.csv", unlabelled(4))
    write(inbox, "05-labels.csv", pl.concat([labels(2), labels(4)]))
    kill_after(start(pipeline, inbox, home), home, generator.randint(12, 26), generator.random() / 10)
    assert ended(start(pipeline, inbox, home)) == 0
    taken = {number: (o["rows"], o["known"], o["waiting"]) for number, o in _labels_taken(pipeline).items()}
    assert taken == {3: (120, 0, 30), 5: (250, 150, 0)}
    assert dict(stored(pipeline).select("piece", "side").iter_rows()) == truth([1, 2, 4])
    assert stored(pipeline).height == 3 * ROWS


def _labels_taken(pipeline: Path) -> dict[int, Any]:
    return ledger(pipeline).outcomes("line", "labels")
