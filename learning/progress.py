"""A progress bar for trainings."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from learning.callbacks import Followed, Listener
from learning.metrics import EpochMetrics


class ProgressBar(Listener[Followed]):
    """A bar that follows the epochs, and goes away when the training is over."""

    def __init__(self, title: str, console: Console | None = None) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[losses]}"))
        self._bar = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
        self._task = self._bar.add_task(title, total=None, losses="")

    def fit_start(self, state: Followed) -> None:
        """Show the bar."""
        self._bar.start()

    def epoch_end(self, state: Followed) -> None:
        """Show the epoch and its losses."""
        losses = losses_text(state.history[-1], state.epochs)
        self._bar.update(self._task, completed=len(state.history), total=state.epochs, losses=losses)

    def fit_end(self, state: Followed) -> None:
        """Take the bar away."""
        self._bar.stop()


def losses_text(metrics: EpochMetrics, epochs: int) -> str:
    """One epoch's losses in words."""
    held_back = "" if metrics.val_loss is None else f", validation {metrics.val_loss:.4g}"
    return f"epoch {metrics.epoch}/{epochs}: loss {metrics.train_loss:.4g}{held_back}"
