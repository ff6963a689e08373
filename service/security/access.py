"""Which role a route asks for: every route names one, and a client without it is refused."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Security
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.security import HTTPBearer
from starlette.types import Scope

from service.problems import Problem
from service.security.tokens import Role, Token

_bearer = HTTPBearer(auto_error=False, description="a token that `lehr token` made")


class Needs:
    """A dependency: the request's token has one of these roles. Raises Problem 403 where it has none of them."""

    def __init__(self, *roles: Role) -> None:
        assert roles, "a route is open to nobody unless it names a role"
        self.roles = roles

    # Not for waiting: what is no coroutine is called in a thread, which takes longer than a prediction.
    async def __call__(self, request: Request, _: Annotated[Any, Security(_bearer)]) -> Token:
        return check_roles(request.scope, self.roles)


def check_roles(scope: Scope, roles: Sequence[Role]) -> Token:
    """The request's token; raises Problem 401 where there is none, and 403 where it has none of the roles."""
    token: Token | None = scope.get("lehr.token")
    if token is None:
        raise Problem(401, "a bearer token is needed", {"WWW-Authenticate": "Bearer"})
    if not any(token.may(role) for role in roles):
        wanted, has = " or ".join(roles), ", ".join(token.roles)
        raise Problem(403, f"this needs a token with the role {wanted}; {token.name} has {has}")
    return token


class Open:
    """A dependency that says: anybody may have this, without a token."""

    def __call__(self) -> None:
        """Nothing is asked for."""


def open_to_all() -> Any:
    """What a route lists among its dependencies that is the same for everybody and tells nothing of the plant."""
    return Depends(Open())


def needs(*roles: Role) -> Any:
    """What a route or router lists among its dependencies to be open to these roles."""
    return Depends(Needs(*roles))


def routes_of(app: FastAPI) -> list[APIRoute]:
    """All that the app serves."""
    routes = [context.original_route for context in iter_route_contexts(app.routes)]
    assert all(isinstance(route, APIRoute) for route in routes), "there is a route that cannot name a role"
    return [route for route in routes if isinstance(route, APIRoute)]


def roles_of(route: APIRoute) -> set[Role]:
    """Who may call the route besides admins."""
    return {role for d in route.dependant.dependencies if isinstance(d.call, Needs) for role in d.call.roles}


def open_paths(app: FastAPI) -> frozenset[str]:
    """The paths that are served to anybody; only GET, and nothing that depends on what is asked."""
    routes = [r for r in routes_of(app) if any(isinstance(d.call, Open) for d in r.dependant.dependencies)]
    for route in routes:
        assert route.methods == {"GET"} and "{" not in route.path, f"{route.path} cannot be open to all"
    return frozenset(route.path for route in routes)


def check_every_route_is_guarded(app: FastAPI) -> None:
    """Nothing is served that does not say which role it is for, or that it is for everybody."""
    public = open_paths(app)
    for route in routes_of(app):
        assert bool(roles_of(route)) != (route.path in public), f"{route.path} names no role"
