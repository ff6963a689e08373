"""Requests to the service, and the one kind of error that they end in."""

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

Answer = dict[str, Any]


class ServiceError(Exception):
    """The service refused, or could not be reached; problem: its Problem Details (RFC 9457)."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{problem['detail']} ({problem['status']} {problem['title']})")
        self.problem = dict(problem)

    @property
    def status(self) -> int:
        """The HTTP status; 0: there was no answer."""
        return self.problem["status"]


class Calls:
    """Requests whose errors are one kind of exception."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def json(self, method: str, path: str, **request: Any) -> Answer:
        """The answer's JSON; nothing where it has none."""
        answer = self.answer(method, path, **request)
        return answer.json() if answer.content else {}

    def answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        """An answer that is no error."""
        with one_kind_of_error():
            answer = self.client.request(method, path, **request)
        return checked(answer)

    def save(self, path: str, target: Path | str, **request: Any) -> Path:
        """Write an answer's content into a file, whole or not at all."""
        partial = Path(f"{target}.part")
        with one_kind_of_error(), self.client.stream("GET", path, **request) as answer:
            if answer.is_error:
                answer.read()
            checked(answer)
            with partial.open("wb") as file:
                for piece in answer.iter_bytes():
                    file.write(piece)
        return partial.replace(target)

    def send(
        self, path: str, files: Mapping[str, Path | str], fields: Mapping[str, str | None], key: str | None = None
    ) -> Answer:
        """Post files and fields as a form; key: under which the same request is done once."""
        headers = {} if key is None else {"Idempotency-Key": key}
        given = {name: value for name, value in fields.items() if value is not None}
        with ExitStack() as stack:
            parts = {
                part: (Path(file).name, stack.enter_context(Path(file).open("rb"))) for part, file in files.items()
            }
            return self.json("POST", path, files=parts, data=given, headers=headers)


def checked(answer: httpx.Response) -> httpx.Response:
    """The answer; raises ServiceError where it is an error."""
    if not answer.is_error:
        return answer
    try:
        problem = answer.json()
        raise ServiceError({"title": "", "detail": "", **problem, "status": answer.status_code})
    except (ValueError, TypeError):
        said = answer.text[:300] or answer.reason_phrase
        title = answer.reason_phrase
        raise ServiceError({"title": title, "status": answer.status_code, "detail": said}) from None


@contextmanager
def one_kind_of_error() -> Generator[None]:
    """Inside, a service that cannot be reached raises ServiceError."""
    try:
        yield
    except httpx.HTTPError as error:
        raise unreached(str(error) or type(error).__name__) from error


def unreached(why: str) -> ServiceError:
    """There was no answer, and why."""
    return ServiceError({"title": "no answer", "status": 0, "detail": why})
