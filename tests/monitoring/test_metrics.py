"""The tracker, on a real MLflow store; what a kill leaves comes there by the next one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import polars as pl
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lehr import app
from monitoring.alert_rules import Alert
from monitoring.alert_sinks import Email, Webhook
from monitoring.metrics import MetricsHistory, MLMetricsTracker

ROOT = Path(__file__).parents[2]
VALUES = {"accuracy": 0.92, "precision": 0.89, "recall": 0.94, "f1_score": 0.91}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One MLflow store for all tests here, as making it takes seconds; each has an experiment of its own."""
    return tmp_path_factory.mktemp("home")


def test_the_earlier_modules_call(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEHR_HOME", str(home))
    tracker = MLMetricsTracker(experiment_name="lstm_training_v1")
    tracker.log_metrics({"accuracy": 0.92, "precision": 0.89, "recall": 0.94, "f1_score": 0.91})
    assert dict(tracker.history().select("metric", "value").iter_rows()) == VALUES
    assert tracker.best_run("accuracy")["best"] == 0.92
    tracker.close()
    assert tracker.runs()["status"].to_list() == ["FINISHED"]
    with pytest.raises(ValueError, match=r"the run .* of lstm_training_v1 is closed"):
        tracker.log_metrics(VALUES)
    tracker.close()


def test_runs_are_compared_and_the_best_is_found(home: Path) -> None:
    for name, losses in {"small": [0.9, 0.5, 0.7], "large": [0.8, 0.6, 0.6]}.items():
        with MLMetricsTracker("compared", run_name=name, params={"units": len(name)}, home=home) as tracker:
            for loss in losses:
                tracker.log_metrics({"val_loss": loss, "accuracy": 1 - loss})
    history = MetricsHistory("compared", home=home)
    assert history.best_run("val_loss")["name"] == "large", "less of a loss is better"
    assert history.best_run("val_loss", at="best")["name"] == "small"
    assert history.best_run("accuracy", lower_is_better=True)["name"] == "small"
    compared = history.compare("small", "large")
    assert compared.filter(pl.col("metric") == "val_loss")["change"][0] == pytest.approx(-0.1)
    assert history.runs()["param units"].to_list() == ["5", "5"]
    assert history.history("accuracy")["step"].to_list() == [0, 1, 2, 0, 1, 2]
    with pytest.raises(ValueError, match="there is no run 'tiny'; runs are large, small"):
        history.compare("tiny")
    with pytest.raises(ValueError, match="no run has logged 'auc'; metrics that were"):
        history.best_run("auc")


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_a_history_is_exported(home: Path, tmp_path: Path, ending: str) -> None:
    with MLMetricsTracker(f"exported {ending}", run_name="a", home=home) as tracker:
        tracker.log_metrics({"loss": 0.25}, step=7)
        path = tracker.export(tmp_path / f"h.{ending}")
    read = {"csv": pl.read_csv, "json": pl.read_json, "parquet": pl.read_parquet}[ending](path)
    assert read.select("name", "metric", "step", "value").row(0) == ("a", "loss", 7, 0.25)
    with pytest.raises(ValueError, match=r"a history is written as \.csv, \.json, \.parquet"):
        tracker.export(tmp_path / "h.xlsx")


def test_a_call_takes_less_than_a_millisecond_also_while_it_uploads(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.metrics.UPLOAD_SECONDS", 0.3)
    rules = [{"kind": "anomaly", "metric": "accuracy", "deviations": 50.0}]
    seconds: list[float] = []
    with MLMetricsTracker("fast", home=home, rules=rules) as tracker:
        for number in range(1500):
            started = time.perf_counter()
            tracker.log_metrics({**VALUES, "loss": number})
            seconds.append(time.perf_counter() - started)
            time.sleep(0.0005)
    assert np.median(seconds) < 1e-3
    assert np.quantile(seconds, 0.95) < 1e-3
    assert tracker.history("loss").height == 1500


KILLED = """
import os, sys
from monitoring.metrics import MLMetricsTracker
rules = [{"kind": "threshold", "metric": "recall", "below": 0.5}]
tracker = MLMetricsTracker("killed", run_name="victim", home=sys.argv[1], rules=rules, sinks=[])
number = 0
while True:
    tracker.log_metrics({"recall": 1.0 if number != 40 else 0.1, "number": number})
    os.write(1, b"%d\\n" % number)
    number += 1
"""


def test_a_kill_loses_no_metric_and_no_alert(home: Path) -> None:
    MetricsHistory("killed", home=home)  # the store is there
    command = [sys.executable, "-W", "ignore", "-c", KILLED, str(home)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as victim:
        assert victim.stdout is not None
        seen = [victim.stdout.readline() for _ in range(300)]
        os.kill(victim.pid, signal.SIGKILL)
        seen += victim.stdout.readlines()
    taken = sum(line.endswith(b"\n") for line in seen)
    history = MetricsHistory("killed", home=home)
    logged = history.history("number")["value"].to_list()
    assert taken <= len(logged) <= taken + 1
    assert logged == list(range(len(logged)))
    assert history.runs()["status"].to_list() == ["KILLED"]
    assert MetricsHistory("killed", home=home).history("number").height == len(logged), "nothing comes twice"


def test_alerts_that_a_kill_kept_from_leaving_are_sent_by_the_next_tracker(home: Path) -> None:
    from monitoring.journal import Journal

    document = {
        "experiment": "late", "run": "a", "rule": "threshold of recall", "metric": "recall", "state": "raised",
        "value": 0.1, "text": "recall is 0.1; limit below 0.5", "step": 3, "at": "2026-01-05T06:00:00+00:00",
    }  # fmt: skip
    journal = Journal(home / "metrics" / "late" / "0123.journal")
    journal.append({"t": 1_700_000_000_000, "s": 0, "run": "0123", "name": "a", "params": {}})
    for number in range(2):
        journal.append({"t": 1_700_000_000_000, "s": 3, "alert": {**document, "value": number}})
        if number == 0:
            journal.append({"t": 1_700_000_000_000, "s": 3, "delivered": 1})
    journal.close()
    got: list[Alert] = []
    MLMetricsTracker("late", home=home, sinks=[got.append]).close()
    assert [alert.value for alert in got] == [1]
    MLMetricsTracker("late", home=home, sinks=[got.append]).close()
    assert len(got) == 1


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        posted: list[Any] = self.server.posted  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        posted.append(json.loads(body))
        self.send_response(500 if len(posted) == 1 else 200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), _Hook)
    server.posted = []  # type: ignore[attr-defined]
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_alerts_go_to_every_sink_and_are_tried_again(
    home: Path, hook: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(alert: Alert) -> None:
        raise RuntimeError("no")

    got: list[Alert] = []
    sinks = [broken, Webhook(f"http://127.0.0.1:{hook.server_port}/hook"), got.append]
    rules = [{"kind": "threshold", "metric": "recall", "below": 0.8, "clear": 0.85}]
    with MLMetricsTracker("alerts", run_name="a", home=home, rules=rules, sinks=sinks) as tracker:
        for value in (0.9, 0.7, 0.75, 0.82, 0.9):
            tracker.log_metrics({"recall": value})
        assert tracker.raised == {"threshold of recall": False}
    assert [(alert.state, alert.value) for alert in got] == [("raised", 0.7), ("cleared", 0.9)]
    posted = hook.posted  # type: ignore[attr-defined]
    assert [body["state"] for body in posted] == ["raised", "raised", "cleared"], "the first was answered with 500"
    assert posted[0]["text"] == "alerts: recall is 0.7; limit below 0.8"
    assert "broken did not take an alert" in caplog.text


def test_mail_is_sent_by_a_server(home: Path) -> None:
    import socket

    mails: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb") as lines:

            def say(text: bytes) -> None:
                lines.write(text + b"\r\n")
                lines.flush()

            say(b"220 ready")
            while line := lines.readline():
                if line.upper().startswith(b"DATA"):
                    say(b"354 go on")
                    while (part := lines.readline()) != b".\r\n":
                        mails.append(part)
                say(b"221 bye" if line.startswith(b"QUIT") else b"250 ok")

    server = Thread(target=serve, daemon=True)
    server.start()
    sink = Email("127.0.0.1", "lehr@plant", ["shift@plant"], port=listener.getsockname()[1])
    rules = [{"kind": "change", "metric": "accuracy", "drop": 0.1}]
    with MLMetricsTracker("mail", home=home, rules=rules, sinks=[sink]) as tracker:
        for value in (0.9, 0.7):
            tracker.log_metrics({"accuracy": value})
    server.join(5)
    listener.close()
    text = b"".join(mails).decode()
    assert "Subject: mail: accuracy is 0.7, 0.2 from the usual 0.9; limit 0.1" in text
    assert "To: shift@plant" in text


def test_what_mistakes_cost_is_logged_and_exposed(home: Path) -> None:
    with MLMetricsTracker("defects", run_name="a", home=home) as tracker:
        tracker.log_defects(["crack", "ok", "ok"], ["ok", "ok", "crack"], {"crack": {"ok": 40.0}})
        assert tracker.latest["cost_per_item"] == pytest.approx(41 / 3)
        text = tracker.exposition().decode()
    samples = {
        (sample.name, sample.labels.get("part", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["lehr_metric_recall", "ok"] == 0.5
    assert samples["lehr_metric_cost_per_item", ""] == pytest.approx(41 / 3)
    assert samples["lehr_metric_calls_total", ""] == 1


def test_the_page_and_the_command(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = [{"kind": "threshold", "metric": "recall.crack", "below": 0.8}]
    for name in ("first", "<second>"):
        with MLMetricsTracker("page", run_name=name, home=home, rules=rules, sinks=[]) as tracker:
            for loss in (0.5, 0.25, float("nan")):
                tracker.log_metrics({"loss": loss})
            tracker.log_defects(["crack", "ok"], ["ok", "ok"], {"crack": {"ok": 40.0}}, step=3)
            page = tracker.write_page(tmp_path / "page.html").read_text()
    plots = json.loads(page.split('id="plots">')[1].split("</script>")[0])
    assert [line["y"] for line in plots["metric-0"]["data"]][1:] != []
    assert "confusion" in plots
    assert "raised" in page
    assert "<second>" not in page.replace("&lt;second&gt;", "")
    assert "costs 20 an item" in page
    arguments = ["metrics", "page", "--home", str(home), "--best", "loss", "--export", str(tmp_path / "a.csv")]
    app([*arguments, "--html", str(tmp_path / "b.html")], result_action="return_value")
    said = capsys.readouterr().out
    assert "best by loss" in said
    assert (tmp_path / "a.csv").exists()
    assert (tmp_path / "b.html").exists()
    with pytest.raises(ValueError, match="nothing was logged for the experiment nothing"):
        app(["metrics", "nothing", "--home", str(home)], result_action="return_value")


@pytest.mark.parametrize(
    ("metrics", "said"),
    [({"a b?": 1.0}, "metric: 'a b\\?' is no name"), ({"a": "x"}, "a: 'x' is no number"), ({"": 1.0}, "is no name")],
)
def test_what_cannot_be_logged_is_refused_whole(home: Path, metrics: dict[str, Any], said: str) -> None:
    with MLMetricsTracker("refused", home=home) as tracker, pytest.raises(ValueError, match=said):
        tracker.log_metrics({"good": 1.0, **metrics})
    assert "good" not in tracker.latest
