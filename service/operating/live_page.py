"""Routes: the live page. It is the same for everybody and holds no data: it asks the service's other routes for them,
with the token that a person gives it."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse

from service.problems import documented
from service.security.access import open_to_all

FOLDER = Path(__file__).parent / "page"
PLOTLYS = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-gG0b4ixT/IQUp7JJLbyKcpYcYDjq2Wp8NGv3f+aasqo='"
"""Plotly's two style elements: an empty one that it fills rule by rule, and that of its maps."""
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "require-trusted-types-for 'script'",
        f"style-src 'self' {PLOTLYS}",
        "style-src-attr 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
"""What a browser lets the page do: nothing that does not come from the service, and no script in its text."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
UNCHANGED_SECONDS = 86_400
"""How long a browser keeps plotly's 4.5 MB."""

router = APIRouter(tags=["page"], dependencies=[open_to_all()])


def _plotly() -> Path:
    """Plotly's script, which its package brings; the package itself is not imported."""
    found = find_spec("plotly")
    assert found is not None and found.origin is not None, "plotly is one of lehr's dependencies"
    return Path(found.origin).parent / "package_data" / "plotly.min.js"


def _serve(path: str, file: Path, keep_seconds: int = 0) -> None:
    kind = KINDS[file.suffix]
    keep = f"max-age={keep_seconds}" if keep_seconds else "no-cache"

    async def send() -> FileResponse:
        return FileResponse(file, media_type=kind, headers={**HEADERS, "Cache-Control": keep})

    content: dict[str, Any] = {kind: {"schema": {"type": "string"}}}
    router.add_api_route(
        path,
        send,
        response_class=FileResponse,
        summary=f"A part of the live page: {path}",
        operation_id=f"page {path}",
        responses={**documented(), 200: {"description": "for everybody; it holds no data", "content": content}},
    )


_serve("/", FOLDER / "index.html")
for _file in sorted(file for file in FOLDER.iterdir() if file.suffix in KINDS and file.name != "index.html"):
    _serve(f"/page/{_file.name}", _file)
_serve("/page/plotly.js", _plotly(), UNCHANGED_SECONDS)
