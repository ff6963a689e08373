"""A progress bar for trainings."""

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from learning.trainer import EpochRecord
from learning.trainer import Progress as Report


@contextmanager
def progress_bar(title: str, console: Console | None = None) -> Generator[Report]:
    """A bar that takes `EpochRecord`s and goes away when the training is over."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[losses]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None, losses="")

        def report(record: EpochRecord) -> None:
            bar.update(task, completed=record.epoch, total=record.epochs, losses=losses_text(record))

        yield report


def losses_text(record: EpochRecord) -> str:
    """One epoch's losses in words."""
    held_back = "" if record.validation_loss is None else f", validation {record.validation_loss:.4g}"
    return f"epoch {record.epoch}/{record.epochs}: loss {record.loss:.4g}{held_back}"
