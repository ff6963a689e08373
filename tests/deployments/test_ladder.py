import pytest

from deployments.ladder import Rung, next_rung
from monitoring.config import Action


@pytest.mark.parametrize(
    ("action", "tried", "champion_holds", "expected"),
    [
        ("none", (), True, None),
        ("bootstrap", (), False, "bootstrap"),
        ("bootstrap", ("bootstrap",), False, None),
        ("patch", (), True, "patch"),
        ("patch", ("patch",), True, "update"),
        ("patch", ("patch", "update"), True, None),
        ("update", ("update",), False, "retrain"),
        ("update", ("update",), True, None),
        ("update", ("update", "retrain"), False, None),
        ("retrain", (), True, "retrain"),
    ],
)
def test_next_rung(action: Action, tried: tuple[Rung, ...], champion_holds: bool, expected: Rung | None) -> None:
    assert next_rung(action, tried, champion_holds) == expected
