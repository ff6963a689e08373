"""A page that needs nothing but a browser, from a template and what it shows."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"


def render_page(template: str, view: Mapping[str, Any], path: Path) -> None:
    """Write the page to `path`, whose folder is made; plotly's script is inside.

    In a template `from_page` turns a file's place into one relative to the page. Raises jinja2's UndefinedError for a
    name that the view lacks.
    """
    # Only who writes a page pays for plotly, whose script is 4.5 MB.
    from plotly.offline import get_plotlyjs

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)

    def from_page(target: str) -> str:
        return quote(os.path.relpath(target, path.parent))

    environment.filters["from_page"] = from_page
    page = environment.get_template(template).render(**view, plotly=get_plotlyjs())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
