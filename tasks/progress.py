"""A training's epochs, followed on the page of its run."""

from time import monotonic
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from learning.callbacks import Callback
from learning.state import TrainingState

LEAST_SECONDS = 1.0


class ProgressArtifact(Callback):
    """Shows the share of a training's epochs that are done, at most once a second; short trainings show none."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._artifact: UUID | None = None
        self._shown = monotonic()

    def epoch_end(self, state: TrainingState) -> None:
        """Show the epoch."""
        if monotonic() - self._shown >= LEAST_SECONDS:
            self._show(100 * len(state.history) / state.config.epochs)

    def fit_end(self, state: TrainingState) -> None:
        """Nothing is left to do; early stopping may have come before the last epoch."""
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
