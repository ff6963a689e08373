"""What a command found, in the files that were asked for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from commands.opening import console


def write_result(
    result: dict[str, Any], report: Path | None, html: Path | None, write_page: Callable[[dict[str, Any], Path], None]
) -> None:
    """The result as JSON and as a page, where they are wanted."""
    if report is not None:
        report.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        console.print(f"report: {report}")
    if html is not None:
        write_page(result, html)
        console.print(f"page: {html}")
