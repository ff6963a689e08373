import json
import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, inspect, text

from data.database import MIGRATIONS, open_database
from data.ledger import Ledger
from data.tables import Table
from data.training_runs import NAMING_ATTEMPTS, NEXT_STATES, TrainingRuns
from tests.forked import forking

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVENTS = 40


class Clock:
    def __init__(self, step: timedelta = timedelta(minutes=1)) -> None:
        self.moment, self.step = START - step, step

    def __call__(self) -> datetime:
        self.moment += self.step
        return self.moment


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[TrainingRuns]:
    opened = TrainingRuns(url(tmp_path), Clock())
    yield opened
    opened.close()


def in_state(runs: TrainingRuns, state: str) -> str:
    run_id = runs.create("line", {}).id
    if state != "pending":
        if state in ("paused", "completed"):
            runs.change_state(run_id, "running")
        runs.change_state(run_id, state)
    return run_id


def test_the_migrations_make_the_tables_as_they_are_declared(tmp_path: Path) -> None:
    engine = open_database(url(tmp_path))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
    engine.dispose()


def test_a_new_run_is_pending_and_desired_to_run(runs: TrainingRuns) -> None:
    created = runs.create("line", {"epochs": 3})
    assert created.id == "epoch_training_20261121_120000"
    assert (created.name, created.config, created.desired, created.state) == ("line", {"epochs": 3}, "run", "pending")
    assert (created.reason, created.created_at, created.changed_at) == (None, START, START)
    assert runs.get(created.id) == created
    second = runs.create("line", {}, prefix="sweep")
    assert second.id == "sweep_20261121_120100"
    assert runs.runs() == [created, second]


def test_ids_are_in_utc_and_runs_of_one_second_are_counted(tmp_path: Path) -> None:
    moment = START.astimezone(timezone(timedelta(hours=5)))
    runs = TrainingRuns(url(tmp_path), lambda: moment)
    ids = [runs.create("line", {}).id for _ in range(3)]
    assert ids == [f"epoch_training_20261121_120000{suffix}" for suffix in ("", "_2", "_3")]
    for _ in range(NAMING_ATTEMPTS - 3):
        runs.create("line", {})
    with pytest.raises(ValueError, match=f"no id from .*_120000 to .*_{NAMING_ATTEMPTS} is free"):
        runs.create("line", {})
    runs.close()


def test_an_unknown_run_is_named(runs: TrainingRuns) -> None:
    for call in (
        lambda: runs.get("x_1"),
        lambda: runs.desired("x_1"),
        lambda: runs.desire("x_1", "pause"),
        lambda: runs.change_state("x_1", "running"),
        lambda: runs.append("x_1", "epoch", {}),
        lambda: runs.events("x_1"),
    ):
        with pytest.raises(ValueError, match="there is no training run x_1"):
            call()


def test_a_run_is_paused_resumed_and_cancelled(runs: TrainingRuns) -> None:
    run_id = in_state(runs, "running")
    for desired in ("pause", "pause", "run", "cancel", "cancel"):
        runs.desire(run_id, desired)
        assert runs.desired(run_id) == runs.get(run_id).desired == desired
    with pytest.raises(ValueError, match="is being cancelled: it cannot run, only a new run can be created"):
        runs.desire(run_id, "run")
    with pytest.raises(ValueError, match="can be desired to run, pause, cancel, not 'stop'"):
        runs.desire(run_id, "stop")
    assert runs.desired(run_id) == "cancel"


def test_what_is_desired_is_seen_across_connections(runs: TrainingRuns, tmp_path: Path) -> None:
    run_id = in_state(runs, "running")
    other = TrainingRuns(url(tmp_path), Clock())
    for desired in ("run", "pause", "run"):
        other.desire(run_id, desired)
        assert runs.desired(run_id) == desired
    other.close()


@pytest.mark.parametrize("state", ["completed", "cancelled", "failed"])
def test_a_finished_run_never_changes(runs: TrainingRuns, state: str) -> None:
    run_id = in_state(runs, state)
    before, events = runs.get(run_id), runs.events(run_id)
    assert before.finished
    for desired in ("run", "pause", "cancel"):
        with pytest.raises(ValueError, match=f"{run_id} is {state}: it cannot {desired}, only a new run"):
            runs.desire(run_id, desired)
    for following in NEXT_STATES:
        with pytest.raises(ValueError, match=f"{run_id} is {state} and cannot become {following}; .* finished"):
            runs.change_state(run_id, following)
    with pytest.raises(ValueError, match=f"{run_id} is {state}: nothing more happens in it, not even 'epoch'"):
        runs.append(run_id, "epoch", {})
    assert (runs.get(run_id), runs.events(run_id)) == (before, events)


@pytest.mark.parametrize("state", NEXT_STATES)
@pytest.mark.parametrize("following", [*NEXT_STATES, "asleep"])
def test_a_state_follows_only_where_it_can(runs: TrainingRuns, state: str, following: str) -> None:
    run_id = in_state(runs, state)
    events = len(runs.events(run_id))
    if following in NEXT_STATES[state]:
        runs.change_state(run_id, following, "because")
        assert (runs.get(run_id).state, runs.get(run_id).reason) == (following, "because")
        last = runs.events(run_id)[-1]
        assert (last.sequence, last.kind) == (events + 1, "state")
        assert last.payload == {"state": following, "previous": state, "reason": "because"}
    else:
        with pytest.raises(ValueError, match=f"{run_id} is {state} and cannot become {following}"):
            runs.change_state(run_id, following)
        assert (runs.get(run_id).state, len(runs.events(run_id))) == (state, events)


def test_events_are_read_from_where_a_reader_stopped(runs: TrainingRuns) -> None:
    run_id, other = in_state(runs, "pending"), in_state(runs, "pending")
    assert runs.events(run_id) == []
    assert [runs.append(run_id, "epoch", {"epoch": epoch}) for epoch in range(1, 6)] == [1, 2, 3, 4, 5]
    assert runs.append(other, "warning", {"text": "slow"}) == 1
    assert [(event.sequence, event.payload["epoch"]) for event in runs.events(run_id, after=3)] == [(4, 4), (5, 5)]
    assert runs.events(run_id, after=5) == []
    assert {event.run_id for event in runs.events(run_id)} == {run_id}
    assert runs.events(run_id)[0].at.tzinfo is not None


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"loss": math.nan}, "payload.loss is nan"),
        ({"scores": {"rmse": [1.0, math.inf]}}, r"payload.scores.rmse\[1\] is inf"),
        ({"at": START}, "payload.at is a datetime"),
        ({"heads": {1: 2.0}}, "payload.heads has the key 1"),
    ],
)
def test_what_json_cannot_say_is_refused_by_its_key(runs: TrainingRuns, payload: dict[str, Any], message: str) -> None:
    run_id = in_state(runs, "running")
    with pytest.raises(ValueError, match=message):
        runs.append(run_id, "epoch", payload)
    with pytest.raises(ValueError, match=message.replace("payload", "config")):
        runs.create("line", payload)
    assert len(runs.events(run_id)) == len(runs.runs()) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=st.dictionaries(st.text(), JSON, max_size=4))
def test_a_payload_comes_back_as_it_was(runs: TrainingRuns, payload: dict[str, Any]) -> None:
    run_id = in_state(runs, "pending")
    runs.append(run_id, "epoch", payload)
    read = runs.events(run_id)[0].payload
    assert read == payload
    assert json.loads(json.dumps(read, allow_nan=False)) == payload


def _write(folder: str, writer: int) -> tuple[list[str], bool]:
    """Create runs in one and the same second, write events of one run, and try to take it."""
    runs = TrainingRuns(url(Path(folder)), lambda: START)
    created = [runs.create("line", {"writer": writer}).id for _ in range(5)]
    for number in range(EVENTS):
        runs.append("shared_20261121_120000", "epoch", {"writer": writer, "number": number})
    try:
        runs.change_state("shared_20261121_120000", "running")
    except ValueError:
        return created, False
    else:
        return created, True
    finally:
        runs.close()


def test_processes_at_once_leave_no_gap_and_no_duplicate(tmp_path: Path) -> None:
    runs = TrainingRuns(url(tmp_path), lambda: START)
    run_id = runs.create("line", {}, prefix="shared").id
    with ProcessPoolExecutor(3, mp_context=forking(__name__)) as pool:
        results = list(pool.map(_write, [str(tmp_path)] * 3, range(3)))
    ids = [created for written, _ in results for created in written]
    assert len(set(ids)) == 15
    assert sum(taken for _, taken in results) == 1
    events = runs.events(run_id)
    assert [event.sequence for event in events] == list(range(1, 3 * EVENTS + 2))
    for writer in range(3):
        own = [event.payload["number"] for event in events if event.payload.get("writer") == writer]
        assert own == list(range(EVENTS))
    runs.close()


def test_threads_at_once_share_one_object(runs: TrainingRuns) -> None:
    run_id = in_state(runs, "running")

    def work(thread: int) -> list[int]:
        assert runs.desired(run_id) == "run"
        return [runs.append(run_id, "epoch", {"thread": thread}) for _ in range(10)]

    with ThreadPoolExecutor(4) as pool:
        written = [number for numbers in pool.map(work, range(4)) for number in numbers]
    assert sorted(written) == [event.sequence for event in runs.events(run_id, after=1)] == list(range(2, 42))


def test_a_database_of_the_first_tables_is_brought_up_to_date(tmp_path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(url(tmp_path))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text("insert into pipelines (name, schema) values ('line', '{}')"))
    assert "training_runs" not in inspect(engine).get_table_names()
    engine.dispose()
    runs, ledger = TrainingRuns(url(tmp_path), Clock()), Ledger(url(tmp_path), Clock())
    assert (runs.runs(), ledger.schema("line")) == ([], {})
    runs.close()
    ledger.close()


def test_asking_what_is_desired_costs_next_to_nothing(runs: TrainingRuns) -> None:
    """About 10 microseconds; the bound leaves room for a busy machine."""
    run_id = in_state(runs, "running")
    times = []
    for _ in range(300):
        start = perf_counter()
        runs.desired(run_id)
        times.append(perf_counter() - start)
    assert median(times) < 1e-3
