"""What trackers wrote into their journals, brought to MLflow: each record once in effect, however often it is tried.

A journal belongs to one run. Beside it stands how far it was uploaded; what comes twice after a crash is one row in
MLflow, whose metrics are told apart by run, name, time, step and value.
"""

import fcntl
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from data.files import write_whole
from monitoring.alert_rules import Alert
from monitoring.alert_sinks import LOG, Sink, send
from monitoring.journal import first_record, read_journal
from monitoring.metric_values import why_refused

MOST_METRICS = 1000
"""MLflow takes no more at once."""
RUN_TAG = "lehr.run"

_ALERT = TypeAdapter(Alert)


class MetricStore:
    """MLflow's store at an address, which has to be there, and an experiment in it, made for its first run."""

    def __init__(self, tracking_uri: str, experiment: str, artifacts: str | None) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient  # two seconds, which only trackers pay for

        self.client = MlflowClient(tracking_uri, tracking_uri)
        self._experiment, self._artifacts = experiment, artifacts

    @property
    def experiment_id(self) -> str | None:
        """MLflow's id of the experiment; None before its first run."""
        found = self.client.get_experiment_by_name(self._experiment)
        return None if found is None else found.experiment_id

    def run_of(self, header: Mapping[str, Any]) -> str:
        """MLflow's id of a tracker's run, which is made where it is not there yet."""
        query = f"tags.`{RUN_TAG}` = '{header['run']}'"
        experiment_id = self.experiment_id or self.client.create_experiment(self._experiment, self._artifacts)
        found = self.client.search_runs([experiment_id], query, max_results=1)
        if found:
            return found[0].info.run_id
        tags = {RUN_TAG: header["run"]}
        made = self.client.create_run(experiment_id, header["t"], tags, run_name=header["name"])
        from mlflow.entities import Param

        params = [Param(name, str(value)[:500]) for name, value in header["params"].items()]
        self.client.log_batch(made.info.run_id, params=params)
        return made.info.run_id

    def upload(self, journal: Path) -> None:
        """Bring what is new in a journal to MLflow."""
        from mlflow.entities import Metric

        done = uploaded(journal)
        header, records = _opened(journal, done)
        if header is None or not records:
            return
        run_id = self.run_of(header)
        metrics = [Metric(name, value, r["t"], r["s"]) for _, r in records for name, value in _taken(journal, r)]
        for first in range(0, len(metrics), MOST_METRICS):
            self.client.log_batch(run_id, metrics[first : first + MOST_METRICS])
        for _, record in records:
            if "report" in record:
                self.client.log_dict(run_id, record["report"], f"defects/{record['s']}.json")
            if "end" in record:
                self.client.set_terminated(run_id, record["end"], record["t"])
        write_whole(_mark(journal), str(records[-1][0]).encode())

    def end_killed(self, journal: Path) -> None:
        """Say of a run whose tracker is no more that it was killed, unless it had ended."""
        header, records = _opened(journal, 0)
        if header is not None and not any("end" in record for _, record in records):
            self.client.set_terminated(self.run_of(header), "KILLED", max(r["t"] for _, r in records))


def uploaded(journal: Path) -> int:
    """The place in a journal up to which MLflow has it."""
    mark = _mark(journal)
    return int(mark.read_text()) if mark.exists() else 0


def take_over_left(store: MetricStore, folder: Path, sinks: Sequence[Sink]) -> None:
    """Bring to MLflow, and to the sinks, what trackers that are no more left behind.

    A journal that cannot be brought there is named in the log and left as it is, for a later tracker to try.
    """
    for journal in left_behind(folder):
        if uploaded(journal) == journal.stat().st_size:
            continue
        try:
            _take_over(store, journal, sinks)
        except Exception:  # noqa: BLE001 - one run's journal must not keep all others, and the next run, from MLflow
            LOG.warning("%s: MLflow did not take this run; it stays there", journal, exc_info=True)


def _take_over(store: MetricStore, journal: Path, sinks: Sequence[Sink]) -> None:
    records = [record for _, record in read_journal(journal)]
    if not records:
        return
    store.upload(journal)
    store.end_killed(journal)
    told = sum("delivered" in record for record in records)
    for document in [record["alert"] for record in records if "alert" in record][told:]:
        send(_ALERT.validate_python(document), sinks)
    with journal.open("r+b") as file:  # what was cut short, and the zeros behind: nothing is left to take over
        file.truncate(uploaded(journal))


def journal_of(folder: Path, store: MetricStore, run_id: str) -> list[dict[str, Any]]:
    """The records of a run of MLflow's; none where another machine wrote them, or no tracker."""
    run = store.client.get_run(run_id).data.tags.get(RUN_TAG)
    return [] if run is None else [record for _, record in read_journal(folder / f"{run}.journal")]


def experiments_of(home: Path) -> list[str]:
    """The experiments of which trackers have logged runs in this home, by name."""
    folders = {path.parent: path for path in sorted((home / "metrics").glob("*/*.journal"))}
    headers = [first_record(path) for path in folders.values()]
    return sorted(header["experiment"] for header in headers if header is not None and "experiment" in header)


def left_behind(folder: Path) -> Iterator[Path]:
    """The journals in a folder that no tracker has open, each locked while it is looked at."""
    for path in sorted(folder.glob("*.journal")):
        with _alone(path) as alone:
            if alone:
                yield path


@contextmanager
def _alone(path: Path) -> Generator[bool]:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _opened(journal: Path, start: int) -> tuple[dict[str, Any] | None, list[tuple[int, dict[str, Any]]]]:
    """The journal's first record, and those behind a place."""
    return first_record(journal), list(read_journal(journal, start))


def _taken(journal: Path, record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The values of a record that MLflow takes; what it never would stays in the journal alone, and is named."""
    for name, value in record.get("m", {}).items():
        refused = why_refused(name, record["s"])
        if refused is None:
            yield name, value
        else:
            LOG.warning("%s: a value stays there, MLflow takes it not: %s", journal, refused)


def _mark(journal: Path) -> Path:
    return journal.with_suffix(".uploaded")
