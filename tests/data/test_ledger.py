from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data.ledger import Ledger, PromotionConflictError
from tests.forked import forking

START = datetime(2026, 1, 1, tzinfo=UTC)
ID = "ab" * 32


class Clock:
    def __init__(self) -> None:
        self.moment = START

    def __call__(self) -> datetime:
        self.moment += timedelta(minutes=1)
        return self.moment


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(url(tmp_path), Clock())
    yield opened
    opened.close()


def test_a_batch_keeps_the_number_it_got_first(ledger: Ledger) -> None:
    assert [ledger.open_batch("line", str(i), "f").number for i in (5, 3, 5, 4)] == [1, 2, 1, 3]
    assert ledger.open_batch("other", "5", "f").number == 1
    assert [entry.batch_id for entry in ledger.batches("line")] == ["5", "3", "4"]


def test_a_step_is_written_once(ledger: Ledger) -> None:
    ledger.open_batch("line", ID, "f")
    ledger.record_step("line", ID, "validate", {"rows": 3})
    ledger.record_step("line", ID, "learn", None)
    with pytest.raises(ValueError, match="step validate of batch abababababab was written before"):
        ledger.record_step("line", ID, "validate", {"rows": 4})
    assert ledger.journal("line", ID) == {"validate": {"rows": 3}, "learn": None}
    assert ledger.outcomes("line", "validate") == {1: {"rows": 3}}


def test_outcomes_from_a_batch_on(ledger: Ledger) -> None:
    for number in range(1, 5):
        ledger.open_batch("line", str(number), "f")
        ledger.record_step("line", str(number), "decide", number)
    assert ledger.outcomes("line", "decide", since=3) == {3: 3, 4: 4}


def test_promotion_is_a_compare_and_swap(ledger: Ledger) -> None:
    ledger.promote("line", 1, None, {"passed": True}, "first")
    with pytest.raises(
        PromotionConflictError, match="version 2 was to replace nothing, but version 1 is in production"
    ):
        ledger.promote("line", 2, None, {}, "late")
    ledger.promote("line", 2, 1, {}, "second")
    assert [(p.sequence, p.version, p.previous) for p in ledger.history("line")] == [(1, 1, None), (2, 2, 1)]


def test_what_was_in_production_when(ledger: Ledger) -> None:
    first = ledger.promote("line", 1, None, {}, "first")
    second = ledger.promote("line", 2, 1, {}, "second")
    assert ledger.champion("line", at=START) is None
    assert ledger.champion("line", at=first.at) == first
    assert ledger.champion("line", at=second.at - timedelta(seconds=1)) == first
    assert ledger.champion("line") == second


def test_a_refused_swap_writes_no_step(ledger: Ledger) -> None:
    ledger.promote("line", 1, None, {}, "first")
    with pytest.raises(PromotionConflictError):
        ledger.promote("line", 2, None, {}, "late", (ID, "promote", {}))
    assert ledger.journal("line", ID) == {}
    ledger.promote("line", 2, 1, {}, "second", (ID, "promote", {"version": 2}))
    assert ledger.journal("line", ID) == {"promote": {"version": 2}}


def test_a_promotion_step_is_written_once(ledger: Ledger) -> None:
    ledger.promote("line", 1, None, {}, "first", (ID, "promote", {}))
    with pytest.raises(ValueError, match="the step promote of batch abababababab was written before"):
        ledger.promote("line", 2, 1, {}, "second", (ID, "promote", {}))
    assert [p.version for p in ledger.history("line")] == [1]


def test_the_newest_version_since_a_moment(ledger: Ledger) -> None:
    ledger.register_version("line", 1, "0" * 64, None, 1, "bootstrap")
    promotion = ledger.promote("line", 1, None, {}, "first")
    assert ledger.latest_version("line", promotion.at) is None
    ledger.register_version("line", 2, "1" * 64, 1, 2, "update")
    assert ledger.latest_version("line", promotion.at) == 2
    assert ledger.next_version("line") == 3
    assert ledger.version_hash("line", 2) == "1" * 64
    with pytest.raises(ValueError, match="line has no version 9"):
        ledger.version_hash("line", 9)


def test_declared_columns_are_kept(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.schema("line") is None
    ledger.declare_schema("line", {"columns": ["a"]})
    ledger.declare_schema("line", {"columns": ["b"]})
    again = Ledger(url(tmp_path), Clock())
    assert again.schema("line") == {"columns": ["b"]}
    again.close()


def _open_and_promote(folder: str, version: int) -> bool:
    ledger = Ledger(url(Path(folder)), lambda: datetime.now(UTC))
    try:
        for number in range(20):
            ledger.open_batch("line", f"same-{number}", "f")
            ledger.open_batch("line", f"{version}-{number}", "f")
        ledger.promote("line", version, None, {}, "first")
    except PromotionConflictError:
        return False
    finally:
        ledger.close()
    return True


def test_processes_at_once(tmp_path: Path) -> None:
    """They all make the tables, no number is given twice, and of those that promote one wins."""
    with ProcessPoolExecutor(3, mp_context=forking(__name__)) as pool:
        won = list(pool.map(_open_and_promote, [str(tmp_path)] * 3, range(1, 4)))
    assert sum(won) == 1
    ledger = Ledger(url(tmp_path), Clock())
    assert [entry.number for entry in ledger.batches("line")] == list(range(1, 81))
    ledger.close()


def test_outcomes_are_read_backwards_as_far_as_wanted(ledger: Ledger) -> None:
    for number in range(1, 8):
        batch_id = f"{number:064d}"
        ledger.open_batch("line", batch_id, f"{number}.csv")
        if number != 4:
            cause = "sensor_fault" if number in (2, 7) else "none"
            ledger.record_step("line", batch_id, "triage", {"cause": cause, "number": number})
    assert [n for n, _ in ledger.latest_outcomes("line", "triage", before=7)] == [6, 5, 3, 2, 1]
    assert next(ledger.latest_outcomes("line", "triage", before=99)) == (7, {"cause": "sensor_fault", "number": 7})
    assert list(ledger.latest_outcomes("line", "watch", before=99)) == []
    assert ledger.batches_where("line", "triage", "cause", "sensor_fault") == [2, 7]
    assert ledger.batches_where("line", "triage", "cause", "sensor") == []
    found = ledger.step("line", f"{2:064d}", "triage")
    assert found is not None and found.result["number"] == 2
    assert ledger.step("line", f"{4:064d}", "triage") is None
