"""The tracker, on a real MLflow store; what a kill leaves comes there by the next one."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
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
from monitoring.journal import GROWTH
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


@pytest.fixture(scope="module")
def refusing(home: Path) -> Iterator[MLMetricsTracker]:
    with MLMetricsTracker("refused", home=home) as tracker:
        yield tracker


@pytest.mark.parametrize(
    ("metrics", "step", "said"),
    [
        ({"a b?": 1.0}, None, r"metric: 'a b\?' is no name"),
        ({"": 1.0}, None, "is no name"),
        ({1: 1.0}, None, "metric: 1 is no name"),
        ({"a": "x"}, None, "a: 'x' is no number"),
        ({"a": 10**400}, None, "a: 1000.*… is beyond"),
        ({"../x": 1.0}, None, r"metric: '\.\./x' reads as a path to elsewhere"),
        ({"/a": 1.0}, None, "metric: '/a' reads as a path"),
        ({"a//b": 1.0}, None, "metric: 'a//b' reads as a path"),
        ({"a/": 1.0}, None, "metric: 'a/' reads as a path"),
        ({".": 1.0}, None, r"metric: '\.' reads as a path"),
        ({"a": 1.0}, "x", "step: 'x' is no whole number"),
        ({"a": 1.0}, 1.5, r"step: 1\.5 is no whole number"),
        ({"a": 1.0}, 2**70, "step: 11805.* is no whole number of 64 bits"),
    ],
)
def test_what_cannot_be_logged_is_refused_whole(
    refusing: MLMetricsTracker, metrics: dict[Any, Any], step: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        refusing.log_metrics({"good": 1.0, **metrics}, step)
    assert "good" not in refusing.latest
    with pytest.raises(ValueError, match=r"metrics: numbers by name are logged, not \[\]"):
        refusing.log_metrics([])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rules": "x"}, "rules: a list of them, not 'x'"),
        ({"rules": ["x"]}, "rules.0: "),
        ({"sinks": ["http://x"]}, "sinks.0: 'http://x' takes no alert"),
        ({"sinks": print}, "sinks: a list of them"),
        ({"params": [1]}, r"params: values by name are kept, not \[1\]"),
        ({"params": {"../x": 1}}, r"parameter: '\.\./x' reads as a path"),
        ({"run_name": 3}, "run_name: 3 is none"),
        ({"experiment_name": ".."}, r"experiment: '\.\.' reads as a path"),
    ],
)
def test_a_tracker_that_cannot_be_is_refused(home: Path, wrong: dict[str, Any], said: str) -> None:
    arguments: dict[str, Any] = {"experiment_name": "refused", "home": home, **wrong}
    with pytest.raises(ValueError, match=said):
        MLMetricsTracker(**arguments)


def test_a_webhook_without_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match="begins with http"):
        Webhook("plant.example")


def test_what_mlflow_refuses_for_ever_keeps_nothing_else_from_it(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    from monitoring.journal import Journal

    left = {"bad": [({"ok": 1.0}, 0), ({"ok": 2.0, "../x": 1.0}, 1), ({"ok": 3.0}, 2**70), ({"ok": 4.0}, 3)]}
    left["unknown"] = [({"ok": 5.0}, 0)]
    for run, records in left.items():
        journal = Journal(home / "metrics" / "bricked" / f"{run}.journal")
        journal.append({"t": 1_700_000_000_000, "s": 0, "run": run, "name": run, "params": {}})
        for values, step in records:
            journal.append({"t": 1_700_000_000_000, "s": step, "m": values})
        if run == "unknown":
            journal.append({"t": 1_700_000_000_000, "s": 1, "end": "NO STATUS OF MLFLOW'S"})
        journal.close()
    history = MetricsHistory("bricked", home=home)
    assert sorted(history.history("ok")["value"].to_list()) == [1.0, 2.0, 4.0, 5.0]
    assert "bad.journal: a value stays there, MLflow takes it not: metric: '../x' reads as a path" in caplog.text
    assert f"step: {2**70} is no whole number" in caplog.text
    assert "unknown.journal: MLflow did not take this run; it stays there" in caplog.text
    caplog.clear()
    with MLMetricsTracker("bricked", home=home) as tracker:
        tracker.log_metrics({"ok": 6.0})
    assert 6.0 in MetricsHistory("bricked", home=home).history("ok")["value"].to_list()
    assert "bad.journal" not in caplog.text, "what was said once is not said again"


def test_a_run_is_closed_also_where_mlflow_is_away(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = MLMetricsTracker("away", run_name="a", home=home)
    tracker.log_metrics({"loss": 0.5})
    with monkeypatch.context() as patch:
        patch.setattr(tracker._store.client, "log_batch", _away)  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(ConnectionError):
            tracker.flush()
        tracker.close()
    assert "MLflow did not take the metrics of away; they stay in" in caplog.text
    with pytest.raises(ValueError, match="the run a of away is closed"):
        tracker.log_metrics({"loss": 0.4})
    history = MetricsHistory("away", home=home)
    assert history.history("loss")["value"].to_list() == [0.5]
    assert history.runs()["status"].to_list() == ["FINISHED"]
    with pytest.raises(ValueError, match="status: 'DONE' is none; allowed are FINISHED, FAILED, KILLED"):
        tracker.close("DONE")  # type: ignore[arg-type]


def _away(*arguments: Any, **named: Any) -> None:
    raise ConnectionError("MLflow is away")


def test_a_full_disk_ends_no_training_and_what_waited_is_written_once_there_is_room(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with MLMetricsTracker("full", home=home) as tracker:
        tracker.log_metrics({"loss": 0.0})
        with _no_file_grows_beyond(GROWTH):
            for number in range(1, 2000):
                tracker.log_metrics({"loss": number})
        assert caplog.text.count("File too large; metrics wait in memory") == 1
        tracker.log_metrics({"loss": 2000})
        assert tracker.history("loss")["value"].to_list() == list(range(2001))
        with _no_file_grows_beyond(GROWTH):
            tracker.log_metrics({f"{n:0200}": 1.0 for n in range(400)})
            tracker.close()
    assert "there was no room to the end, 2 records are lost" in caplog.text


@contextmanager
def _no_file_grows_beyond(size: int) -> Generator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_experiments_with_names_alike_keep_apart(home: Path) -> None:
    from monitoring.journal import Journal

    for name in ("line 3", "line/3", "line_3"):
        MLMetricsTracker(name, home=home).close()
    folders = [folder.name for folder in (home / "metrics").iterdir() if folder.name.startswith("line_3")]
    assert len(folders) == 3
    journal = Journal(home / "metrics" / "line_3" / "0123.journal")
    journal.append({"t": 1_700_000_000_000, "s": 0, "run": "0123", "name": "left", "params": {}})
    journal.append({"t": 1_700_000_000_000, "s": 0, "m": {"loss": 1.0}})
    journal.close()
    assert "left" not in MetricsHistory("line 3", home=home).runs()["name"].to_list()
    assert "left" in MetricsHistory("line_3", home=home).runs()["name"].to_list()
