"""How far long work is, followed on the page of its run."""

from time import monotonic
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from learning.callbacks import Followed, Listener

LEAST_SECONDS = 1.0


class ShownProgress:
    """Shows the share of some work that is done, at most once a second; short work is not shown."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._artifact: UUID | None = None
        self._shown = monotonic()

    def show(self, percent: float) -> None:
        """Show the share, unless one was shown just now."""
        if monotonic() - self._shown >= LEAST_SECONDS:
            self._show(percent)

    def end(self) -> None:
        """Nothing is left to do."""
        if self._artifact is not None:
            self._show(100.0)

    def _show(self, percent: float) -> None:
        self._shown = monotonic()
        if self._artifact is None:
            created = create_progress_artifact(percent, description=self._description)
            assert isinstance(created, UUID)
            self._artifact = created
        else:
            update_progress_artifact(self._artifact, percent)


class ProgressArtifact(Listener[Followed]):
    """Shows the share of a training's epochs that are done."""

    def __init__(self, description: str) -> None:
        self._shown = ShownProgress(description)

    def epoch_end(self, state: Followed) -> None:
        """Show the epoch."""
        self._shown.show(100 * len(state.history) / state.epochs)

    def fit_end(self, state: Followed) -> None:
        """Early stopping may have come before the last epoch; what was cancelled stays where it is."""
        if state.stopped is None:
            self._shown.end()
