from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.security.tokens import Tokens, make_token, parse_tokens, revoke_token

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_token_is_kept_as_a_hash_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "home" / "tokens.json"
    secret = make_token(path, "plant", ["predict", "ingest"], None, NOON)
    assert secret not in path.read_text()
    tokens = Tokens(path, lambda: NOON)
    found = tokens.find(secret)
    assert found is not None
    assert (found.name, found.may("predict"), found.may("train")) == ("plant", True, False)
    assert tokens.find(secret[:-1]) is None
    assert tokens.find("") is None


def test_a_token_expires_and_can_be_revoked_while_the_service_runs(tmp_path: Path) -> None:
    path, times = tmp_path / "tokens.json", [NOON]
    tokens = Tokens(path, lambda: times[-1])
    assert tokens.known == []
    short, long = (make_token(path, name, ["train"], days, NOON) for name, days in (("short", 1), ("long", None)))
    assert tokens.find(short) is not None
    times.append(NOON + timedelta(days=1))
    assert tokens.find(short) is None
    assert tokens.find(long) is not None
    revoke_token(path, "long")
    assert tokens.find(long) is None


def test_an_admin_may_do_all(tmp_path: Path) -> None:
    secret = make_token(tmp_path / "tokens.json", "boss", ["admin"], None, NOON)
    found = Tokens(tmp_path / "tokens.json", lambda: NOON).find(secret)
    assert found is not None
    assert found.may("promote")


@pytest.mark.parametrize(
    ("name", "days", "said"),
    [("../x", None, "is no name for a token"), ("taken", None, "already"), ("late", 0, "more than 0")],
)
def test_what_is_no_token_is_refused(tmp_path: Path, name: str, days: float | None, said: str) -> None:
    path = tmp_path / "tokens.json"
    make_token(path, "taken", ["predict"], None, NOON)
    with pytest.raises(ValueError, match=said):
        make_token(path, name, ["predict"], days, NOON)


@pytest.mark.parametrize("text", ["", "[]", '{"tokens": [{"name": "a", "roles": ["king"], "sha256": "00"}]}'])
def test_broken_tokens_open_nothing(text: str) -> None:
    with pytest.raises(ValueError, match=r"^LEHR_SERVE_TOKENS holds no tokens: "):
        parse_tokens(text, "LEHR_SERVE_TOKENS")
