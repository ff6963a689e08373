"""`Idempotency-Key`: a request that is sent again under the same key is answered as the first time, and done once.

Keys belong to their token, and are kept for a week.
"""

import hashlib
import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

from fastapi import Header, Request
from pydantic import BaseModel

from data.files import write_whole
from service.problems import Problem

KEPT = timedelta(days=7)
_LOCKS = tuple(threading.Lock() for _ in range(64))
_Answer = TypeVar("_Answer", bound=BaseModel)

IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$", description="the same request again is done once"),
]


def once(
    home: Path, request: Request, key: str | None, content: str, do: Callable[[], _Answer], kind: type[_Answer]
) -> _Answer:
    """Do what a request asks for, unless it was done under this key before; content: what it brought, or its hash.

    Raises Problem 422 where the key was used for something else.
    """
    if key is None:
        return do()
    path = _folder(home) / f"{key_of(request, key)}.json"
    asked = hashlib.sha256(f"{request.method} {request.url.path}\n{content}".encode()).hexdigest()
    with _LOCKS[int(path.stem[:8], 16) % len(_LOCKS)]:
        if path.exists():
            kept = json.loads(path.read_bytes())
            if kept["asked"] != asked:
                raise Problem(422, "this Idempotency-Key was used for another request; take a new one")
            return kind.model_validate(kept["answer"])
        answer = do()
        write_whole(path, json.dumps({"asked": asked, "answer": answer.model_dump(mode="json")}).encode())
        return answer


def key_of(request: Request, key: str) -> str:
    """The key as it is kept: it belongs to the request's token."""
    return hashlib.sha256(f"{request.scope['lehr.token'].name} {key}".encode()).hexdigest()


def forget_old_keys(home: Path, now: datetime) -> None:
    """Remove the answers that are no longer kept."""
    for path in _folder(home).glob("*.json"):
        if path.stat().st_mtime < (now - KEPT).timestamp():
            path.unlink(missing_ok=True)


def _folder(home: Path) -> Path:
    return home / "idempotency"
