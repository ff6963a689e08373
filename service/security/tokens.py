"""Bearer tokens: who may do what. Kept as SHA-256 hashes; a token itself is shown once, when it is made."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from data.files import write_whole

Role = Literal["predict", "ingest", "train", "promote", "node", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""An admin may do what all others may."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Token(BaseModel):
    """What is kept of a token; expires: None: never."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    roles: list[Role] = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    expires: AwareDatetime | None = None

    def may(self, role: Role) -> bool:
        """Whether the token's owner may do what the role may."""
        return role in self.roles or "admin" in self.roles


class _TokenFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: list[Token] = []


def tokens_path(home: Path) -> Path:
    """Where the tokens of a home are kept."""
    return home / "tokens.json"


def parse_tokens(text: str, origin: str) -> list[Token]:
    """The tokens of a file or variable; raises ValueError that names the place and what is wrong there."""
    try:
        return _TokenFile.model_validate_json(text).tokens
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise ValueError(f"{origin} holds no tokens: {where}: {first['msg'].lower()}") from None


def read_tokens(path: Path) -> list[Token]:
    """The tokens of a file; none where there is no file. Raises ValueError for a file that is broken."""
    return parse_tokens(path.read_text(encoding="utf-8"), str(path)) if path.is_file() else []


def make_token(path: Path, name: str, roles: Sequence[Role], days: float | None, now: datetime) -> str:
    """Make a token, keep its hash in the file, and return it.

    Raises ValueError for a name that is taken or no name, and for a time that is over before it begins.
    """
    known = read_tokens(path)
    if any(token.name == name for token in known):
        raise ValueError(f"there is a token {name!r} already; revoke it first, or take another name")
    if days is not None and not 0 < days <= 36_500:
        raise ValueError(f"a token lasts for more than 0 and at most 36500 days, not {days:g}")
    secret = f"lehr_{secrets.token_urlsafe(32)}"
    expires = None if days is None else now + timedelta(days=days)
    try:
        token = Token(name=name, roles=list(dict.fromkeys(roles)), sha256=digest_of(secret), expires=expires)
    except ValidationError:
        raise ValueError(
            f"{name!r} is no name for a token, or no role was given: a name has 1 to 64 letters, digits, dots, dashes "
            f"and underscores; roles are {', '.join(ROLES)}"
        ) from None
    _write(path, [*known, token])
    return secret


def revoke_token(path: Path, name: str) -> None:
    """Forget a token: a service that runs refuses it from now on. Raises ValueError where there is none."""
    known = read_tokens(path)
    left = [token for token in known if token.name != name]
    if len(left) == len(known):
        raise ValueError(f"there is no token {name!r}; there are {', '.join(t.name for t in known) or 'none'}")
    _write(path, left)


def digest_of(secret: str) -> str:
    """What is kept of a token: one pass is enough for 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Tokens:
    """The tokens that hold now: a file's, read again when it changes, or those that are given.

    now: the clock, in a time zone.
    """

    def __init__(self, source: Path | Sequence[Token], now: Callable[[], datetime]) -> None:
        self._path = source if isinstance(source, Path) else None
        self._tokens = [] if isinstance(source, Path) else list(source)
        self._now = now
        self._read: tuple[int, int] | None = None

    @property
    def known(self) -> list[Token]:
        """All of them, expired ones too."""
        if self._path is not None:
            stamp = _stamp(self._path)
            if stamp != self._read:
                self._tokens, self._read = read_tokens(self._path), stamp
        return self._tokens

    def find(self, secret: str) -> Token | None:
        """The token that this is, unless it has expired; how long it takes does not depend on which it is."""
        digest, now, found = digest_of(secret), self._now(), None
        for token in self.known:
            if hmac.compare_digest(token.sha256, digest) and (token.expires is None or now < token.expires):
                found = token
        return found


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino


def _write(path: Path, tokens: Sequence[Token]) -> None:
    write_whole(path, _TokenFile(tokens=list(tokens)).model_dump_json(indent=2).encode() + b"\n")
