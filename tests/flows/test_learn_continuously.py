import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.feature_store import FeatureStore
from data.ledger import Ledger
from deployments.line import open_ledger
from deployments.registry import Registry
from deployments.settings import Settings
from flows.learn_continuously import learn_continuously


def run(pipeline: Path, source: Path, home: Path, **options: Any) -> dict[str, Any]:
    return learn_continuously(pipeline=str(pipeline), sources=[str(source)], home=str(home), **options)


def fingerprint(folder: Path) -> dict[str, str]:
    """What a run that changes nothing leaves as it was: the versions and the stored rows."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix in (".onnx", ".json", ".parquet", ".npz")]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_whole_loop_and_once_more(pipeline: Path, source: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    report = run(pipeline, source, home, compare=True)
    records = report["batches"]
    assert [r["status"] for r in records] == ["accepted"] * 4
    assert [r["decision"]["action"] for r in records] == ["bootstrap", "update", "update", "update"]
    assert records[0]["score_before"] is None
    assert all(0 <= r["score_before"]["accuracy"] <= 1 for r in records[1:])
    assert records[0]["promoted"]
    assert report["summary"]["score"] > report["summary"]["score_no_change"] - 1
    assert report["summary"]["cost_retrained"]["samples"] > 0
    assert {c["name"] for c in records[1]["gate"]["checks"]} == {
        "threshold", "baseline", "holdouts_unseen", "copies", "not_worse", "regression", "forgetting", "corroboration",
        "worst_rows", "calibration", "regimes", "slices", "worst_group", "too_few_rows", "latency", "size", "parity",
        "no_change",
    }  # fmt: skip
    json.dumps(report, allow_nan=False)

    settings = Settings(home=home)
    champion = open_ledger(settings).champion("line")
    assert champion is not None
    assert champion.version == records[-1]["champion"]
    assert Registry(settings.tracking_uri, "line").champion() == champion.version
    rows = FeatureStore(home / "line" / "store").read()
    assert rows.group_by("lehr_batch").len().sort("lehr_batch")["len"].to_list() == [200] * 4
    assert set(rows["lehr_split"]) == {"train", "holdout"}

    before = fingerprint(home / "line")
    again = run(pipeline, source, home)
    assert [r["status"] for r in again["batches"]] == ["duplicate"] * 4
    assert fingerprint(home / "line") == before
    assert open_ledger(settings).champion("line") == champion


def bad_batches(good: pl.DataFrame) -> dict[str, tuple[bytes, str]]:
    text = good.write_csv().encode()
    header, first, *rest = text.split(b"\n")
    hot = [c for c in good.columns if c.endswith("_c")]
    shifted = good.with_columns(
        [pl.col(good.columns[i - 1]).alias(good.columns[i]) for i in range(2, len(good.columns) - 1)]
    )
    return {
        "a-missing-column.csv": (good.drop("o2_pct").write_csv().encode(), "missing column 'o2_pct'"),
        "b-text.csv": (b"\n".join([header, first.replace(b",", b",warm,", 1), *rest]), "row"),
        "c-word.csv": (text.replace(rest[3].split(b",")[2], b"warm"), "warm"),
        "d-all-nan.csv": (
            good.with_columns(pl.lit(None).alias(c) for c in good.columns[1:-1]).write_csv().encode(),
            "not one reading",
        ),
        "e-empty.csv": (b"", "empty"),
        "f-page.csv": (b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>", "HTML"),
        "g-shifted.csv": (shifted.write_csv().encode(), "shifted or swapped"),
        "h-fahrenheit.csv": (good.with_columns(pl.col(hot) * 1.8 + 32).write_csv().encode(), "°C given as °F"),
    }


def test_bad_batches_are_quarantined_and_the_loop_goes_on(pipeline: Path, source: Path, tmp_path: Path) -> None:
    good = pl.read_csv(source / "line-02.csv")
    batches = bad_batches(good)
    for name, (content, _) in batches.items():
        (source / f"line-02{name}").write_bytes(content)
    records = run(pipeline, source, tmp_path / "home")["batches"]
    by_name = {r["name"]: r for r in records}
    for name, (content, said) in batches.items():
        record = by_name[f"line-02{name}"]
        assert record["status"] == "quarantined", name
        assert said in record["reason"], (name, record["reason"])
        assert record["champion"] == by_name["line-02.csv"]["champion"]
        folder = tmp_path / "home" / "line" / "quarantine" / record["id"]
        assert content in [path.read_bytes() for path in folder.iterdir()]
    assert by_name["line-03.csv"]["status"] == "accepted"
    assert by_name["line-04.csv"]["decision"]["action"] == "update"


def test_fewer_rows_than_a_window(source: Path, tmp_path: Path) -> None:
    pipeline = tmp_path / "windows.yaml"
    pipeline.write_text(
        "name: windows\ntask: classification\ndata: {target: defect, timestamp: time, window: {length: 12}}\n"
        "model: {architecture: cnn_lstm, channels: [8], units: 8}\ntraining: {epochs: 2}\n"
        "gate: {threshold: 0.0, baseline: none}\ndrift: {report: never}\n"
    )
    (source / "line-02short.csv").write_bytes(b"\n".join((source / "line-02.csv").read_bytes().split(b"\n")[:8]))
    records = run(pipeline, source, tmp_path / "home")["batches"]
    assert [r["status"] for r in records] == ["accepted", "accepted", "quarantined", "accepted", "accepted"]
    assert "fewer than one window of 12" in records[2]["reason"]
    assert (records[2]["rows"], records[2]["rows_quarantined"]) == (0, 7)
    assert records[0]["promoted"]


def test_rows_without_readings_are_quarantined_alone(pipeline: Path, source: Path, tmp_path: Path) -> None:
    frame = pl.read_csv(source / "line-02.csv").with_row_index()
    dead = [c for c in frame.columns if c not in ("index", "time", "defect")]
    silent = pl.col("index").is_in([4, 9])
    frame = frame.with_columns(pl.when(silent).then(None).otherwise(pl.col(c)).alias(c) for c in dead)
    frame.drop("index").write_csv(source / "line-02.csv")
    for later in ("line-03.csv", "line-04.csv"):
        (source / later).unlink()
    record = run(pipeline, source, tmp_path / "home")["batches"][1]
    assert (record["status"], record["rows"], record["rows_quarantined"]) == ("accepted", 198, 2)
    rows = pl.read_parquet(tmp_path / "home" / "line" / "quarantine" / f"{record['id']}.parquet")
    assert rows["lehr_row"].to_list() == [5, 10]
    assert set(rows["reason"]) == {"no reading in any feature"}


def test_without_a_champion_the_loop_goes_on_collecting(pipeline: Path, source: Path, tmp_path: Path) -> None:
    pipeline.write_text(pipeline.read_text().replace("threshold: 0.3", "threshold: 0.999"))
    records = run(pipeline, source, tmp_path / "home")["batches"]
    assert {r["decision"]["action"] for r in records} == {"bootstrap"}
    assert {r["champion"] for r in records} == {None}
    assert {r["gate"]["passed"] for r in records} == {False}


def test_a_mistake_in_the_features_is_refused(pipeline: Path, source: Path, tmp_path: Path) -> None:
    pipeline.write_text(pipeline.read_text().replace("data: {", "data: {features: {include: ['zz*']}, "))
    with pytest.raises(ValueError, match=r"data\.features\.include\[0\]: 'zz\*' matches no column"):
        run(pipeline, source, tmp_path / "home")


def test_columns_may_not_change_under_a_champion(pipeline: Path, source: Path, tmp_path: Path) -> None:
    run(pipeline, source / "line-01.csv", tmp_path / "home")
    pipeline.write_text(pipeline.read_text().replace("data: {", "data: {features: {include: ['lehr_*']}, "))
    with pytest.raises(ValueError, match="features of line changed since its champion learned"):
        run(pipeline, source, tmp_path / "home")


def test_a_rollback_is_one_more_promotion(pipeline: Path, source: Path, tmp_path: Path) -> None:
    from deployments.promotion import roll_back

    run(pipeline, source, tmp_path / "home")
    settings = Settings(home=tmp_path / "home")
    ledger: Ledger = open_ledger(settings)
    registry = Registry(settings.tracking_uri, "line")
    versions = [p.version for p in ledger.history("line")]
    assert len(versions) >= 2
    promotion = roll_back(ledger, registry, "line", "it smells", None)
    assert (promotion.version, promotion.previous) == (versions[-2], versions[-1])
    assert registry.champion() == versions[-2]
    with pytest.raises(ValueError, match="cannot roll line back to 99; versions that were in production before"):
        roll_back(ledger, registry, "line", "x", 99)
