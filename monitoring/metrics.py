"""`MLMetricsTracker`: metrics of trainings and of what runs in production, as the earlier training module called it.

    tracker = MLMetricsTracker(experiment_name="lstm_training_v1")
    tracker.log_metrics({"accuracy": 0.92, "precision": 0.89, "recall": 0.94, "f1_score": 0.91})

A call writes into a journal and returns; a thread brings the journal to the disk, to MLflow and alerts to where they
are to go. What a process that was killed left behind is brought there by the next tracker of the experiment.
"""

import atexit
import time
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, RLock, Thread
from types import TracebackType
from typing import Any, Literal, Self
from uuid import uuid4

import polars as pl

from data.files import folder_name
from deployments.registry import create_store
from deployments.settings import Settings
from monitoring.alert_rules import Alert, Rule, Watch, parse_rules
from monitoring.alert_sinks import LOG, Sink, as_json, send, to_log
from monitoring.defect_metrics import Costs, DefectReport, report_defects
from monitoring.exposition import expose
from monitoring.journal import Journal
from monitoring.metric_history import best, compare, history_of, runs_of, write_history
from monitoring.metric_uploads import MetricStore, journal_of, take_over_left
from monitoring.metric_values import checked_name, checked_sinks, checked_step, checked_values, header_of
from monitoring.metrics_page import metrics_view
from monitoring.metrics_plots import MOST_RUNS
from monitoring.rendering import render_page

GROUP_SECONDS = 0.05
"""How long the disk may lag behind: what a power cut can take, and a kill cannot."""
UPLOAD_SECONDS = 10.0
ENDINGS = ("FINISHED", "FAILED", "KILLED")
MOST_WAITING = 10_000
"""Records that memory keeps while the disk has no room for them; of more the oldest go."""


class MetricsHistory:
    """What the runs of an experiment have logged. home, tracking_uri: as of `MLMetricsTracker`.

    take_over: bring what killed trackers left behind to MLflow and to the sinks first.
    """

    def __init__(
        self,
        experiment_name: str,
        *,
        home: Path | str | None = None,
        tracking_uri: str | None = None,
        sinks: Sequence[Sink] = (to_log,),
        take_over: bool = True,
    ) -> None:
        settings = Settings() if home is None else Settings(home=Path(home))
        self.experiment_name, self._sinks = checked_name("experiment", experiment_name), checked_sinks(sinks)
        self._store = _open_store(settings, tracking_uri, experiment_name)
        self._folder = settings.home / "metrics" / folder_name(experiment_name)
        if take_over:
            take_over_left(self._store, self._folder, self._sinks)

    def flush(self) -> None:
        """Bring what is on its way to where it is read from."""

    def history(self, *metrics: str) -> pl.DataFrame:
        """Every value of every run of the experiment: run, name, metric, step, time, value. metrics: only these."""
        self.flush()
        return history_of(self._store, metrics or None)

    def runs(self) -> pl.DataFrame:
        """One row a run, the latest first, with its parameters and its latest metrics."""
        self.flush()
        return runs_of(self._store)

    def compare(self, *runs: str) -> pl.DataFrame:
        """The latest metrics of runs, by name or id, side by side, and the last's distance to the first's."""
        return compare(self.runs(), runs)

    def best_run(
        self, metric: str, lower_is_better: bool | None = None, at: Literal["last", "best"] = "last"
    ) -> dict[str, Any]:
        """The run with the best latest value, or the best ever; its row of `runs`, and the value as `best`.

        lower_is_better: None: as the metric's name says (losses, errors, costs). Raises ValueError where none has it.
        """
        return best(self.runs(), self.history(metric), metric, lower_is_better, at)

    def export(self, path: Path | str) -> Path:
        """Write `history` as .csv, .json or .parquet; raises ValueError for another ending."""
        return write_history(self.history, Path(path))

    def write_page(self, path: Path | str) -> Path:
        """Write a page that needs nothing but a browser: metrics over steps, alerts, what mistakes cost, runs."""
        render_page("metrics.html", self.view(), Path(path))
        return Path(path)

    def view(self) -> dict[str, Any]:
        """What the page shows, as plain JSON with plotly's figures; curves of the latest runs only."""
        runs = self.runs()
        records = journal_of(self._folder, self._store, runs["run"][0]) if runs.height else []
        return metrics_view(self.experiment_name, history_of(self._store, None, MOST_RUNS), runs, records)


class MLMetricsTracker(MetricsHistory):
    """One run of an experiment, and the history of all of its runs.

    run_name: None: the time. params: what the run was made with. rules: when a metric deserves a person
    (`monitoring.alert_rules`), as rules or documents. sinks: where alerts go; whatever takes an `Alert`.
    home: None: LEHR_HOME, or .lehr. tracking_uri: of MLflow; None: as everywhere in lehr.
    Use it as a context manager, or `close` it; at the interpreter's end it closes itself.
    Where the disk has no room, values wait in memory; where MLflow is away, in the journal.
    Raises ValueError for a name, a rule or a sink that cannot be, and OSError without room to begin.
    """

    def __init__(
        self,
        experiment_name: str,
        *,
        run_name: str | None = None,
        params: Mapping[str, Any] | None = None,
        rules: Sequence[Rule | Mapping[str, Any]] = (),
        sinks: Sequence[Sink] = (to_log,),
        home: Path | str | None = None,
        tracking_uri: str | None = None,
    ) -> None:
        self._watches = {name: Watch(rule) for name, rule in parse_rules(rules).items()}
        header = header_of(experiment_name, run_name, params or {})
        super().__init__(experiment_name, home=home, tracking_uri=tracking_uri, sinks=sinks)
        self.run_name: str = header["name"]
        self.alerts: list[Alert] = []
        self.latest: dict[str, float] = {}
        self.calls = 0
        run = uuid4().hex
        self._path = self._folder / f"{run}.journal"
        self._writing, self._sending = RLock(), RLock()
        self._journal: Journal | None = Journal(self._path)
        self._pending, self._wake, self._stop = deque[Alert](), Event(), Event()
        self._waiting = deque[dict[str, Any]](maxlen=MOST_WAITING)
        self._journal.append({"t": time.time_ns() // 1_000_000, "s": 0, "run": run, **header})
        self._thread = Thread(target=self._work, name=f"metrics of {experiment_name}", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    @property
    def raised(self) -> dict[str, bool]:
        """Which rules are raised now, by name."""
        return {name: watch.raised for name, watch in self._watches.items()}

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep values by name, and look whether a rule has something to say about them.

        step: None: the number of this call, from 0. Raises ValueError for a name or a step that MLflow does not take,
        for what is no number, and on a tracker that is closed; then nothing of the call is kept.
        """
        values, step = checked_values(metrics), None if step is None else checked_step(step)
        with self._writing:
            step = self.calls if step is None else step
            self._append({"m": values}, step)
            self.calls += 1
            self.latest.update(values)
            self._look(values, step)

    def log_defects(
        self, truths: Sequence[str], said: Sequence[str], costs: Costs | None = None, step: int | None = None
    ) -> DefectReport:
        """Log precision and recall of every defect and what the mistakes cost; keeps the confusion with the run.

        costs: `costs[truth][said]`; what is not named costs 1. Raises ValueError as `report_defects` does.
        """
        report, step = report_defects(truths, said, costs), None if step is None else checked_step(step)
        self.log_metrics(report.metrics(), step)
        self._append({"report": report.to_json()}, self.calls - 1 if step is None else step)
        return report

    def flush(self) -> None:
        """Wait until all that was logged is on the disk and in MLflow, and every alert was given to the sinks."""
        self._sync()
        self._deliver()
        with self._sending:
            self._store.upload(self._path)

    def close(self, status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED") -> None:
        """End the run and bring the rest to MLflow; a second time changes nothing.

        What MLflow does not take now is named in the log and brought there by the next tracker. Raises ValueError for
        another status.
        """
        if status not in ENDINGS:
            raise ValueError(f"status: {status!r} is none; allowed are {', '.join(ENDINGS)}")
        if self._journal is None:
            return
        self._stop.set()
        self._wake.set()
        self._thread.join()
        self._append({"end": status}, self.calls)
        self._deliver()
        with self._writing:
            journal, self._journal = self._journal, None
            if self._waiting:
                LOG.error("%s: there was no room to the end, %d records are lost", self._path, len(self._waiting))
            journal.close()
        self._upload()
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close("FINISHED" if kind is None else "FAILED")

    def exposition(self) -> bytes:
        """The latest values and the alerts in Prometheus' text format."""
        return expose(self)

    def _append(self, record: dict[str, Any], step: int) -> None:
        with self._writing:
            if self._journal is None:
                raise ValueError(f"the run {self.run_name} of {self.experiment_name} is closed")
            self._waiting.append({"t": time.time_ns() // 1_000_000, "s": step, **record})
            self._write_waiting(self._journal)
        self._wake.set()

    def _write_waiting(self, journal: Journal) -> None:
        """Write what waits for the disk; without room there it goes on waiting: no training dies of its metrics."""
        first = len(self._waiting) == 1
        try:
            while self._waiting:
                journal.append(self._waiting[0])
                self._waiting.popleft()
        except OSError as error:
            if first:
                said = "%s: %s; metrics wait in memory, the latest %d records, and are lost if the process ends"
                LOG.warning(said, self._path, error.strerror, MOST_WAITING)

    def _look(self, values: Mapping[str, float], step: int) -> None:
        for name, watch in self._watches.items():
            if watch.rule.metric in values:
                changed = watch.observe(values[watch.rule.metric])
                if changed is not None:
                    self._alert(name, watch.rule.metric, values[watch.rule.metric], *changed, step)

    def _alert(
        self, rule: str, metric: str, value: float, state: Literal["raised", "cleared"], text: str, step: int
    ) -> None:
        now = datetime.now(UTC)
        alert = Alert(self.experiment_name, self.run_name, rule, metric, state, value, text, step, now)
        self.alerts.append(alert)
        self._append({"alert": as_json(alert)}, step)
        self._pending.append(alert)

    def _deliver(self) -> None:
        with self._sending:
            while self._pending:
                send(self._pending.popleft(), self._sinks)
                self._append({"delivered": 1}, self.calls)

    def _work(self) -> None:
        """The thread: to the disk in groups, alerts at once, to MLflow now and then."""
        next_upload = time.monotonic() + UPLOAD_SECONDS
        while not self._stop.is_set():
            self._wake.wait(max(0.0, next_upload - time.monotonic()))
            self._wake.clear()
            self._sync()
            self._deliver()
            if time.monotonic() >= next_upload:
                self._upload()
                next_upload = time.monotonic() + UPLOAD_SECONDS
            self._stop.wait(GROUP_SECONDS)

    def _sync(self) -> None:
        try:
            if self._journal is not None:
                self._journal.sync()
        except OSError:
            LOG.exception("the disk does not take %s; it is tried again", self._path)

    def _upload(self) -> None:
        try:
            with self._sending:
                self._store.upload(self._path)
        except Exception:  # noqa: BLE001 - MLflow may be away for a while: the journal keeps all for the next try
            LOG.exception("MLflow did not take the metrics of %s; they stay in %s", self.experiment_name, self._path)


def _open_store(settings: Settings, tracking_uri: str | None, experiment: str) -> MetricStore:
    uri = settings.tracking_uri if tracking_uri is None else tracking_uri
    create_store(uri)
    artifacts = (settings.home.resolve() / "mlflow" / "artifacts").as_uri() if uri.startswith("sqlite:") else None
    return MetricStore(uri, experiment, artifacts)
