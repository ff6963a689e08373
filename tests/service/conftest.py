import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from deployments.settings import Settings
from service.app import create_app
from service.core import Core, make_core, now
from service.security.tokens import ROLES, make_token, tokens_path
from service.settings import ServiceSettings
from tests.service.operating.browsing import chromium
from tests.service.plant import Plant, make_plant

Secrets = dict[str, str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def secrets(home: Path) -> Secrets:
    """A token for each role, by role."""
    return {role: make_token(tokens_path(home), role, [role], None, now()) for role in ROLES}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def plant(tmp_path: Path, home: Path) -> Plant:
    """A pipeline to which nothing came yet."""
    return make_plant(tmp_path, home)


@pytest.fixture
def pipelines() -> list[Path]:
    """The files that the service is started with."""
    return []


@pytest.fixture
def core(home: Path, pipelines: list[Path]) -> Core:
    return make_core(Settings(home=home), ServiceSettings(), pipelines)


@pytest.fixture
def app(core: Core) -> FastAPI:
    return create_app(core)


@pytest.fixture
def address(app: FastAPI) -> Iterator[str]:
    """The app behind a real socket."""
    with listening(app) as address:
        yield address


@pytest.fixture
def client_of(address: str, secrets: Secrets) -> Iterator[Callable[[str], httpx.Client]]:
    """A client with the token of a role."""
    clients = {role: client_with(address, secret) for role, secret in secrets.items()}
    yield clients.__getitem__
    for client in clients.values():
        client.close()


@pytest.fixture
def admin(client_of: Callable[[str], httpx.Client]) -> httpx.Client:
    return client_of("admin")


def client_with(address: str, secret: str) -> httpx.Client:
    return httpx.Client(base_url=address, headers={"Authorization": f"Bearer {secret}"}, timeout=30, trust_env=False)


@contextmanager
def listening(app: FastAPI, port: int = 0) -> Generator[str]:
    """Serve the app from a thread; inside, it answers at this address."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=2
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        app.state.end_streams()
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive()
