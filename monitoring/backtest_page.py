"""The result of a backtest as one HTML page that needs nothing but a browser."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_backtest_page(result: Mapping[str, Any], path: Path) -> None:
    """Write the page."""
    raise NotImplementedError
