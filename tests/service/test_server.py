from pathlib import Path

import pytest

from deployments.settings import Settings
from service.core import make_core
from service.server import admit_somebody
from service.settings import ServiceSettings


def test_the_first_start_makes_an_admins_token(home: Path) -> None:
    core = make_core(Settings(home=home), ServiceSettings())
    secret = admit_somebody(core)
    assert secret is not None
    found = core.tokens.find(secret)
    assert found is not None
    assert found.roles == ["admin"]
    assert admit_somebody(core) is None


def test_other_machines_are_served_only_where_somebody_has_a_token(home: Path) -> None:
    core = make_core(Settings(home=home), ServiceSettings(host="0.0.0.0"))
    with pytest.raises(ValueError, match="lehr token"):
        admit_somebody(core)
    assert not (home / "tokens.json").exists()


def test_tokens_from_the_environment_that_admit_nobody_are_a_mistake(home: Path) -> None:
    core = make_core(Settings(home=home), ServiceSettings(tokens='{"tokens": []}'))
    with pytest.raises(ValueError, match="nobody could call"):
        admit_somebody(core)
