"""What every command needs: the terminal, the settings, a pipeline's ledger."""

from pathlib import Path
from typing import TYPE_CHECKING

from deployments.settings import Settings
from monitoring.terminal import open_console

if TYPE_CHECKING:
    from data.ledger import Ledger

console = open_console()


def ledger_of(pipeline: Path, home: Path | None) -> "tuple[str, Ledger]":
    """A pipeline's name and the ledger of its home."""
    from deployments.line import open_ledger
    from deployments.pipeline_files import load_pipeline

    return load_pipeline(pipeline).name, open_ledger(settings_at(home))


def settings_at(home: Path | None) -> Settings:
    """The settings, with another home where one is given."""
    return Settings() if home is None else Settings(home=home)
