import asyncio
import socket
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from deployments.settings import Settings
from service.app import create_app
from service.core import Core, make_core
from service.settings import ServiceSettings
from tests.service.conftest import Secrets, client_with, listening

LIVE = "/v2/health/live"


def test_it_is_there(admin: httpx.Client) -> None:
    answer = admin.get(LIVE)
    assert (answer.status_code, answer.json()) == (200, {"live": True})
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert len(answer.headers["X-Request-ID"]) == 16
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil", "", "a b", "127.0.0.1:x"])
def test_a_foreign_host_is_refused(admin: httpx.Client, host: str) -> None:
    answer = admin.get(LIVE, headers={"Host": host})
    assert answer.status_code == 400
    assert "Host header" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:8000"])
def test_its_own_names_are_known(admin: httpx.Client, host: str) -> None:
    assert admin.get(LIVE, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_pages_of_others_are_refused(admin: httpx.Client, headers: dict[str, str]) -> None:
    assert admin.get(LIVE, headers=headers).status_code == 403
    assert admin.get(LIVE, headers={"Origin": str(admin.base_url).rstrip("/")}).status_code == 200


def test_what_is_not_there_is_a_problem(admin: httpx.Client) -> None:
    answer = admin.get("/nowhere")
    problem = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (problem["status"], problem["title"], problem["instance"]) == (404, "Not Found", "/nowhere")
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert admin.delete(LIVE).json()["status"] == 405


@pytest.mark.parametrize("declared", ["99999999999", "1048577"])
def test_a_request_that_says_it_is_too_large_is_not_read(admin: httpx.Client, secrets: Secrets, declared: str) -> None:
    address = (admin.base_url.host, admin.base_url.port)
    with socket.create_connection(address, timeout=5) as connection:
        head = f"POST {LIVE} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secrets['admin']}\r\n"
        connection.sendall(f"{head}Content-Length: {declared}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def one_request(app: FastAPI, secret: str, path: str, messages: list[dict[str, Any] | None]) -> dict[str, Any]:
    """The head of the answer to a request whose body comes in these messages; None: nothing comes any more."""
    sent: list[dict[str, Any]] = []
    headers = [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {secret}".encode())]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000), "scheme": "http"}

    async def receive() -> dict[str, Any]:
        message = messages.pop(0)
        if message is None:
            await asyncio.sleep(60)
        assert message is not None
        return message

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app({**scope, "asgi": {"version": "3.0"}, "http_version": "1.1", "root_path": ""}, receive, send))
    return sent[0]


def reading_app(core: Core) -> FastAPI:
    from fastapi import Request

    from service.security.access import needs

    app = create_app(core)

    @app.post("/read", dependencies=[needs("predict")])
    async def read(request: Request) -> int:
        return len(await request.body())

    return app


def test_a_body_is_cut_off_where_it_is_too_large_or_too_slow(core: Core, secrets: Secrets) -> None:
    service = ServiceSettings(max_body_bytes=2048, body_seconds=0.05)
    app = reading_app(make_core(Settings(home=core.settings.home), service))
    part = {"type": "http.request", "body": b"x" * 1000, "more_body": True}
    end = {"type": "http.request", "body": b"x", "more_body": False}
    ends = {200: [part, part, end], 413: [part] * 1000, 408: [part, None]}
    for status, messages in ends.items():
        assert one_request(app, secrets["admin"], "/read", [*messages])["status"] == status


def test_a_failure_tells_nothing_about_the_inside(core: Core, secrets: Secrets) -> None:
    app = create_app(core)

    from service.security.access import needs

    @app.get("/broken", dependencies=[needs("predict")])
    async def broken() -> None:
        raise RuntimeError("a secret")

    with listening(app) as address, client_with(address, secrets["predict"]) as client:
        answer = client.get("/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["request_id"]
