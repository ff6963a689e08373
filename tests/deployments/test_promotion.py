from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.ledger import Ledger
from deployments.promotion import roll_back
from deployments.registry import Registry
from tests.deployments.test_registry import log_and_register


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Versions 1, 2 and 3 went live one after another."""
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", lambda: datetime.now(UTC))
    for version, previous in ((1, None), (2, 1), (3, 2)):
        opened.promote("line", version, previous, {}, "better")
    yield opened
    opened.close()


@pytest.fixture
def registered(registry: Registry) -> Registry:
    log_and_register(registry, 1, 2, 3)
    return registry


def test_each_rollback_goes_one_further_back(ledger: Ledger, registered: Registry) -> None:
    assert roll_back(ledger, registered, "line", "it smells", None).version == 2
    assert roll_back(ledger, registered, "line", "still", None).version == 1
    assert registered.champion() == 1
    history = ledger.history("line")
    assert [(p.version, p.previous) for p in history] == [(1, None), (2, 1), (3, 2), (2, 3), (1, 2)]
    assert history[-1].reason == "rolled back: still"
    with pytest.raises(ValueError, match="cannot roll line back: version 1 was the first in production; versions"):
        roll_back(ledger, registered, "line", "again", None)


def test_a_rollback_skips_what_was_taken_back_before(ledger: Ledger, registered: Registry) -> None:
    roll_back(ledger, registered, "line", "3 is bad", None)
    roll_back(ledger, registered, "line", "2 is bad too", None)
    ledger.promote("line", 4, 1, {}, "better")
    assert roll_back(ledger, registered, "line", "4 is no good", None).version == 1


def test_a_rollback_goes_to_any_version_that_was_live(ledger: Ledger, registered: Registry) -> None:
    assert roll_back(ledger, registered, "line", "x", 1).version == 1
    assert roll_back(ledger, registered, "line", "x", 3).version == 3
    with pytest.raises(ValueError, match="cannot roll line back to 9; versions that were in production before: 1, 2"):
        roll_back(ledger, registered, "line", "x", 9)


def test_a_pipeline_without_a_champion_has_nothing_to_roll_back(ledger: Ledger, registered: Registry) -> None:
    with pytest.raises(ValueError, match="other has no champion to roll back"):
        roll_back(ledger, registered, "other", "x", None)
