import io

from rich.console import Console

from learning.progress import losses_text, progress_bar
from learning.trainer import EpochRecord


def test_the_bar_shows_epochs_and_losses() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress_bar("training", console) as report:
        report(EpochRecord(3, 20, 0.5, 0.25, 1.0))
    assert isinstance(console.file, io.StringIO)
    assert "training" in console.file.getvalue()


def test_losses_in_words() -> None:
    assert losses_text(EpochRecord(3, 20, 0.5, 0.25, 1.0)) == "epoch 3/20: loss 0.5, validation 0.25"
    assert losses_text(EpochRecord(1, 1, 0.5, None, 1.0)) == "epoch 1/1: loss 0.5"
