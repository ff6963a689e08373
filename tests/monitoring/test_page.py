import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from monitoring.page import page_view, write_page

Report = dict[str, Any]

CHECKS = [
    {
        "name": "threshold",
        "value": 0.81,
        "limit": 0.6,
        "passed": True,
        "text": "threshold: accuracy 0.81 on 120 held-out rows",
    },
    {"name": "not_worse", "value": -0.02, "limit": 0.0, "passed": False, "text": "2 points below the champion"},
    {"name": "latency", "value": None, "limit": 5.0, "passed": False, "text": "the latency was not measured"},
]


def accepted(batch: int, metric: str = "accuracy", features: int = 4, compare: bool = True, **more: Any) -> Report:
    """A batch that was learned from; the first one makes the first champion."""
    first, wave = batch == 1, 0.05 * (batch % 4)
    channel = {f"sensor_{i}_c": {"distance": 0.1 * batch + wave, "threshold": 0.2 + 0.01 * i} for i in range(features)}
    drift = {"drifted": batch > 2, "features": channel, "target": {"distance": 0.1, "threshold": 0.3}, "note": ""}
    scores = {"score_static": 0.8 - 0.03 * batch, "score_retrained": 0.8 + wave, "score_sliding": 0.78 + wave}
    return {
        "batch": batch,
        "id": f"{batch:064x}",
        "name": f"line-{batch:02d}.csv",
        "status": "accepted",
        "rows": 590,
        "rows_quarantined": 10 if batch % 3 == 0 else 0,
        "drift": None if first else drift,
        "decision": {
            "action": "bootstrap" if first else "update",
            "reason": "sensor_0_c drifted: distance 0.41 > 0.2.",
        },
        "action_taken": "bootstrap" if first else "retrain" if batch == 4 else "update",
        "score_before": None if first else {metric: 0.81 + wave, "other": 1.0},
        "gate": {"passed": batch % 5 != 3, "checks": CHECKS},
        "champion": batch,
        "promoted": batch % 5 != 3,
        "cost": {"samples": 12_000, "seconds": 1.25},
        **({key: None if first else score for key, score in scores.items()} if compare else {}),
        **({"cost_retrained": {"samples": 9_000 * batch, "seconds": 1.0 * batch}} if compare else {}),
        **more,
    }


def quarantined(batch: int, reason: str = "crown_c is in °F here, in °C before.", **more: Any) -> Report:
    nothing = dict.fromkeys(("drift", "decision", "score_before", "gate", "score_static", "champion"))
    costs = {"cost": {"samples": 0, "seconds": 0.1}, "promoted": False, "action_taken": "none"}
    shown = {"name": f"line-{batch:02d}.csv", "status": "quarantined", "rows": 600, "rows_quarantined": 600}
    return {"batch": batch, "id": f"{batch:064x}", **shown, "reason": reason, **nothing, **costs, **more}


def report_of(batches: list[Report], metric: str = "accuracy", **means: float | None) -> Report:
    samples = sum(b.get("cost_retrained", {"samples": 0})["samples"] for b in batches)
    return {
        "pipeline": "glass-line",
        "task": "regression" if metric in ("rmse", "mae") else "classification",
        "metric": metric,
        "batches": batches,
        "summary": {
            "score": None,
            **means,
            "cost": {"samples": sum(b["cost"]["samples"] for b in batches), "seconds": 3.5},
            "cost_retrained": {"samples": samples, "seconds": 2.0} if samples else None,
        },
    }


MEANS = {"score": 0.85, "score_static": 0.62, "score_retrained": 0.86, "score_sliding": 0.84}
REPORTS = {
    "usual": report_of([*map(accepted, range(1, 8)), quarantined(8), accepted(9)], **MEANS),
    "nothing compared": report_of([accepted(i, compare=False) for i in range(1, 4)], score=0.8),
    "no champion yet": report_of(
        [accepted(1, gate={"passed": False, "checks": CHECKS}, champion=None, promoted=False)]
    ),
    "regression": report_of(
        [accepted(i, "rmse") for i in range(1, 6)], "rmse", **{k: 10 * v for k, v in MEANS.items()}
    ),
    "one batch": report_of([accepted(1)]),
    "50 batches": report_of([accepted(i) for i in range(1, 51)], **MEANS),
    "128 features": report_of([accepted(i, features=128) for i in range(1, 6)], **MEANS),
    "all quarantined": report_of([quarantined(1), quarantined(2)]),
    "all seen before": report_of([quarantined(1, status="duplicate"), quarantined(2, status="duplicate")]),
    "no batch at all": report_of([]),
}


class Page(HTMLParser):
    """What a page refers to, and the text that it shows."""

    VOID = ("meta", "link", "br", "img", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.shown: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.shown.append(data)


@pytest.mark.parametrize("case", REPORTS)
def test_a_page_is_whole_and_needs_nothing_from_the_net(case: str, tmp_path: Path) -> None:
    write_page(REPORTS[case], tmp_path / "pages" / "report.html")
    text = (tmp_path / "pages" / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.links == []
    assert text.count("plotly.js v") == 1
    assert "glass-line" in "".join(page.shown)
    assert not re.search(r"\b(None|nan|NaN|inf)\b", "".join(page.shown))


@pytest.mark.parametrize("case", REPORTS)
def test_plots_are_valid_and_hold_every_batch(case: str) -> None:
    view = page_view(REPORTS[case])
    learned = [b["batch"] for b in REPORTS[case]["batches"] if b["status"] != "duplicate"]
    plots = [view[key] for key in ("scores", "drift", "costs") if view[key] is not None]
    for plot in plots:
        json.dumps(plot, allow_nan=False)
        go.Figure(plot)
        assert plot["data"][0]["x"] == learned
    assert bool(plots) == (sum(b["status"] == "accepted" for b in REPORTS[case]["batches"]) > 1)


def test_the_headline_says_how_the_loop_did() -> None:
    view = page_view(REPORTS["usual"])
    cards = {card["name"]: (card["value"], card["tone"]) for card in view["cards"]}
    assert cards["mean accuracy"][0] == "85.0%"
    assert cards["against static first champion"] == ("+23.0 points", "good")
    assert cards["against cumulative retrain"] == ("−1.0 points", "")
    assert cards["promotions"][0] == "7"
    assert cards["cost of learning"][0] == "29%"
    assert "9 batches came; 1 was quarantined" in view["lede"]
    assert "23.0 points better than the first champion left alone" in view["lede"]


def test_errors_are_better_when_lower() -> None:
    cards = {card["name"]: (card["value"], card["tone"]) for card in page_view(REPORTS["regression"])["cards"]}
    assert cards["mean RMSE"][0] == "8.5"
    assert cards["against static first champion"] == ("+37.1%", "bad")
    assert cards["against cumulative retrain"] == ("−1.2%", "good")


def test_a_row_says_what_was_done_and_why() -> None:
    rows = page_view(REPORTS["usual"])["rows"]
    assert (rows[3]["action"], rows[3]["decided"]) == ("retrain", "update")
    assert rows[2]["verdict"] == "refused"
    assert [(c["name"], c["value"], c["passed"]) for c in rows[2]["checks"]] == [
        ("threshold", "0.81", True),
        ("not worse", "−0.02", False),
        ("latency", "–", False),
    ]
    assert (rows[7]["action"], rows[7]["reason"]) == ("quarantined", "crown_c is in °F here, in °C before.")


def test_of_many_features_those_that_moved_most_are_shown() -> None:
    batches = [accepted(1), accepted(2, features=128)]
    batches[1]["drift"]["features"]["sensor_100_c"]["distance"] = 9.0
    view = page_view(report_of(batches, score=0.8))
    shown = view["drift"]["data"][0]["y"]
    assert len(shown) == 40
    assert shown[0] == "the target"
    assert "sensor_100_c" in shown
    assert view["drift_note"] == "The 40 of 129 that moved most."


@pytest.mark.parametrize(
    ("distance", "threshold", "shown"),
    [(0.1, 0.2, 0.5), (9.0, 0.2, 4.0), (0.0, 0.0, 0.0), (0.1, 0.0, 4.0), (None, 0.2, None), (float("nan"), 0.2, None)],
)
def test_drift_is_shown_as_a_multiple_of_its_threshold(
    distance: float | None, threshold: float, shown: float | None
) -> None:
    drift = {"drifted": True, "features": {"crown_c": {"distance": distance, "threshold": threshold}}}
    assert page_view(report_of([accepted(1, drift=drift)]))["drift"]["data"][0]["z"] == [[shown]]


def test_names_from_files_are_text_and_never_markup(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><b>x"
    drift = {"drifted": True, "features": {evil: {"distance": 1.0, "threshold": 0.5}}}
    write_page(report_of([accepted(1, drift=drift, name=evil), quarantined(2, reason=evil)]), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert evil in "".join(Page(text).shown)


def test_warnings_are_told_and_drift_pages_linked_from_where_the_page_lies(tmp_path: Path) -> None:
    told = accepted(1, warnings=["o2_pct is out of its range"], drift_page=str(tmp_path / "home" / "drift 1.html"))
    write_page(report_of([told]), tmp_path / "pages" / "page.html")
    page = Page((tmp_path / "pages" / "page.html").read_text(encoding="utf-8"))
    assert page.links == ["../home/drift%201.html"]
    assert "1 warning" in "".join(page.shown)
    assert "o2_pct is out of its range" in "".join(page.shown)


def test_a_check_is_told_without_its_name_twice() -> None:
    checks = page_view(REPORTS["usual"])["rows"][0]["checks"]
    assert checks[0]["text"] == "accuracy 0.81 on 120 held-out rows"


def test_a_version_that_was_taken_back_is_told_with_its_evidence(tmp_path: Path) -> None:
    revoked = {"version": 2, "champion": 1, "reason": "a stake of 1 on it has become 25"}
    write_page(report_of([accepted(1), accepted(3, revoked=revoked)]), tmp_path / "page.html")
    shown = "".join(Page((tmp_path / "page.html").read_text(encoding="utf-8")).shown)
    assert "Version 2 was taken back, version 1 serves again: a stake of 1 on it has become 25" in shown


def test_an_estimate_and_the_labels_that_follow_it_are_told(tmp_path: Path) -> None:
    waiting = accepted(2, score_before=None, score_estimated=0.81)
    confirmed = {"version": 1, "sequence": 1, "passed": True, "reason": "all checks passed"}
    late = accepted(3, labels={"known": 0, "waiting": 0, "batches": [2]}, confirmed=confirmed)
    write_page(report_of([accepted(1), waiting, late]), tmp_path / "page.html")
    shown = "".join(Page((tmp_path / "page.html").read_text(encoding="utf-8")).shown)
    assert "≈ 81.0%" in shown
    assert "labels for 590 rows of batch 2, 0 known already, 0 wait for their rows" in shown
    assert "Version 1, promoted on an estimate, is confirmed by the labels." in shown
