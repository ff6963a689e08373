"""HTTP on the wire, with what uvicorn leaves open: a head is small and comes soon, and each refusal is a problem."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 65_536


def wire_with(seconds: float) -> type["Wire"]:
    """Connections on which a head gets so many seconds, from a connection's or a request's beginning to its end."""

    class Timed(Wire):
        head_seconds = seconds

    return Timed


class Wire(HttpToolsProtocol):
    """One connection."""

    head_seconds = 20.0
    _in_head = True
    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A head is to follow."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Refuse what only goes on with its head."""
        self._head_bytes += len(data) if self._in_head else 0
        super().data_received(data)
        if self._in_head and self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {MOST_HEAD_BYTES:,} bytes of head")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._fields_bytes = 0
        self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Fields come with the head, and behind a body in pieces."""
        self._fields_bytes += len(name) + len(value)
        if self._fields_bytes > MOST_HEAD_BYTES:
            raise ValueError("too many fields")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The body is watched by the guard."""
        self._in_head, self._head_bytes = False, 0
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, "this is no HTTP request, or one that says two things at once")

    def _await_head(self) -> None:
        self._in_head = True
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"no whole head came in {self.head_seconds:g} seconds")

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        problem: dict[str, Any] = {"type": "about:blank", "title": status.phrase, "status": status.value}
        body = json.dumps({**problem, "detail": detail, "instance": "", "request_id": ""}).encode()
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/problem+json\r\n"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        self.transport.close()
