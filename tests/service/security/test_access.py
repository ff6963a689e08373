"""Every route, as the OpenAPI document names it, is closed to whom it is not for."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from service.core import now
from service.security.access import check_every_route_is_guarded, open_paths, open_to_all, roles_of, routes_of
from service.security.tokens import ROLES, Role, make_token, tokens_path
from service.settings import audit_path
from tests.service.conftest import Secrets

CALLS = ("get", "post", "put", "patch", "delete")


def calls(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of each route of the OpenAPI document that is not for everybody, its parameters filled in."""
    public = open_paths(app)
    for path, item in app.openapi()["paths"].items():
        if path in public:
            continue
        for method in CALLS:
            if method in item:
                names = {p["name"]: "1" for p in item[method].get("parameters", []) if p["in"] == "path"}
                yield method, path.format(**names)


def roles_for(app: FastAPI, method: str, path: str) -> set[Role]:
    (route,) = [r for r in routes_of(app) if r.path_regex.fullmatch(path) and method.upper() in r.methods]
    return roles_of(route)


def test_all_that_is_routed_is_described(app: FastAPI) -> None:
    routed = {(m.lower(), r.path) for r in routes_of(app) for m in r.methods}
    described = {(m, path) for path, item in app.openapi()["paths"].items() for m in item if m in CALLS}
    assert routed == described


def test_no_wrong_expired_and_revoked_tokens_are_refused_everywhere(
    app: FastAPI, client_of: Callable[[str], httpx.Client], home: Path
) -> None:
    make_token(tokens_path(home), "old", ["admin"], 1e-9, now())
    expired = make_token(tokens_path(home), "older", ["admin"], 1e-9, now())
    client = client_of("admin")
    admin = str(client.headers.pop("Authorization"))
    wrong = (None, "Bearer", "Bearer x", f"Bearer {expired}", f"{admin}x", admin.replace("Bearer", "Basic"))
    for method, path in [*calls(app), ("get", "/nowhere"), ("post", "/v2"), ("options", "/v2/health/live")]:
        for authorization in wrong:
            headers = {} if authorization is None else {"Authorization": authorization}
            answer = client.request(method, path, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert answer.headers["Content-Type"] == "application/problem+json"


def test_other_roles_are_refused_everywhere(app: FastAPI, client_of: Callable[[str], httpx.Client]) -> None:
    for method, path in calls(app):
        for role in {*ROLES} - roles_for(app, method, path) - {"admin"}:
            answer = client_of(role).request(method, path)
            assert answer.status_code == 403, (method, path, role)
            assert role in answer.json()["detail"]


def test_a_route_without_a_role_is_not_served(app: FastAPI) -> None:
    router = APIRouter()
    router.get("/open")(lambda: None)
    app.include_router(router)
    with pytest.raises(AssertionError, match="/open names no role"):
        check_every_route_is_guarded(app)


def test_what_is_open_to_all_takes_nothing_and_depends_on_nothing(app: FastAPI) -> None:
    router = APIRouter(dependencies=[open_to_all()])
    router.post("/act")(lambda: None)
    app.include_router(router)
    with pytest.raises(AssertionError, match="/act cannot be open"):
        open_paths(app)


def test_who_was_refused_and_who_changed_something_is_noted_without_secrets(
    admin: httpx.Client, secrets: Secrets, home: Path, audited: None
) -> None:
    admin.post("/v2/health/live")
    admin.get("/v2/health/live")
    admin.get("/v2/health/live", headers={"Authorization": "Bearer lehr_guessed"})
    text = audit_path(home).read_text()
    assert all(secret not in text for secret in [*secrets.values(), "lehr_guessed"])
    noted = [json.loads(line) for line in text.splitlines()]
    assert [(e["event"], e["token"], e["method"], e["status"]) for e in noted] == [
        ("done", "admin", "POST", 405),
        ("refused", None, "GET", 401),
    ]


@pytest.fixture
def audited(home: Path) -> Iterator[None]:
    from logging import getLogger

    from service.logs import log_to

    log_to(audit_path(home))
    yield
    for name in ("lehr", "lehr.audit", "uvicorn"):
        for handler in getLogger(name).handlers:
            handler.close()
        getLogger(name).handlers = []
