"""The service as a process: where it listens, and how it ends."""

import sys
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.core import Core, now
from service.logs import log_to
from service.security.tokens import make_token, tokens_path
from service.settings import LOOPBACK, audit_path
from service.wire import wire_with

SWITCH_SECONDS = 0.0005
"""After which a thread that computes in Python lets requests go on; ten times as soon as is usual."""


def serve(core: Core, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; then requests get a moment to end, and trainings are kept as they stand.

    Raises ValueError where it is to listen to other machines and nobody has a token.
    """
    first = admit_somebody(core)
    if first is not None:
        say(f"the first token, for an admin; it is shown only now: {first}")
    log_to(audit_path(core.settings.home))
    sys.setswitchinterval(SWITCH_SECONDS)
    app = create_app(core)
    say(f"lehr serves on http://{core.service.host}:{core.service.port}")
    _Server(app, _config(core, app)).run()


def admit_somebody(core: Core) -> str | None:
    """Make an admin's token where there is none yet; raises ValueError where other machines are to be served."""
    if core.tokens.known:
        return None
    if core.service.host not in LOOPBACK:
        raise ValueError(
            f"{core.service.host} is open to other machines, and there is no token yet: make one first, such as "
            f"lehr token plant --role predict --role ingest"
        )
    if core.service.tokens is not None:
        raise ValueError("LEHR_SERVE_TOKENS holds no token, so nobody could call the service")
    return make_token(tokens_path(core.settings.home), "first", ["admin"], None, now())


class _Server(uvicorn.Server):
    """Tells the app first that it is to end, so that streams do not wait for their clients."""

    def __init__(self, app: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On SIGTERM or Ctrl-C."""
        self._app.state.end_streams()
        super().handle_exit(sig, frame)


def _config(core: Core, app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=core.service.host,
        port=core.service.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(core.service.stop_seconds),
        timeout_keep_alive=75,
        http=wire_with(core.service.head_seconds),
        ws="none",
    )
