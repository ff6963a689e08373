"""The commands of the HTTP service: serve, token."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from commands.opening import console, settings_at
from service.security.tokens import Role


def serve(*pipelines: Path, host: str | None = None, port: int | None = None, home: Path | None = None) -> None:
    """Serve training, predictions and deliveries over HTTP, until Ctrl-C or SIGTERM.

    Parameters
    ----------
    pipelines
        Pipeline files that deliveries are taken for; default: those that come with lehr.
    host
        Where to listen; another than 127.0.0.1 needs tokens that were made before.
    port
        Where to listen.
    home
        Where lehr keeps its state.
    """
    from commands.plant import given_pipelines
    from service.core import make_core
    from service.server import serve as run
    from service.settings import ServiceSettings

    said = {"host": host, "port": port}
    service = ServiceSettings(**{name: value for name, value in said.items() if value is not None})  # pyright: ignore[reportArgumentType]
    run(make_core(settings_at(home), service, given_pipelines(pipelines)), console.print)


def token(
    name: str,
    *,
    role: Annotated[list[Role] | None, Parameter(negative=())] = None,
    days: float | None = None,
    revoke: Annotated[bool, Parameter(negative=())] = False,
    home: Path | None = None,
) -> None:
    """Make a token for the HTTP service and show it once; only its hash is kept.

    Parameters
    ----------
    name
        Whose it is, as logs will name it.
    role
        What it may do: predict, ingest, train, promote, node, admin; may be given several times.
    days
        How long it holds; default: until it is revoked.
    revoke
        Forget the token of this name instead.
    home
        Where lehr keeps its state.
    """
    from service.security.tokens import make_token, revoke_token, tokens_path

    path = tokens_path(settings_at(home).home)
    if revoke:
        revoke_token(path, name)
        console.print(f"the token {name} is refused from now on")
        return
    console.print(make_token(path, name, role or [], days, datetime.now(UTC)), soft_wrap=True, markup=False)
