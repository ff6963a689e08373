"""A candidate between learning and export: a checkpoint, and its memory beside it."""

import shutil
from io import BytesIO
from pathlib import Path

import polars as pl

from data.files import write_whole
from learning.candidate import Candidate
from learning.checkpoint import load_checkpoint, save_checkpoint
from learning.memory import Memory

Classes = list[str] | None


def save_draft(folder: Path, candidate: Candidate, classes: Classes) -> None:
    """Keep a candidate and its classes (None for regression) in a folder of its own, in place of what was there."""
    memory = BytesIO()
    candidate.memory.to_frame().write_parquet(memory)
    write_whole(folder / "memory.parquet", memory.getvalue())
    config = {"candidate": candidate.state_config(), "classes": classes}
    save_checkpoint(folder / "checkpoint", candidate.trained_through, candidate.state_tensors(), config)


def load_draft(folder: Path) -> tuple[Candidate, Classes]:
    """The candidate and the classes that were kept; raises ValueError where they are not whole."""
    checkpoint = load_checkpoint(folder / "checkpoint")
    if checkpoint is None:
        raise ValueError(f"there is no candidate in {folder}")
    memory = Memory.from_frame(pl.read_parquet(folder / "memory.parquet"))
    candidate = Candidate.from_state(checkpoint.config["candidate"], checkpoint.tensors, memory)
    return candidate, checkpoint.config["classes"]


def clear_drafts(folder: Path) -> None:
    """Forget all drafts of a batch that the loop is done with."""
    shutil.rmtree(folder, ignore_errors=True)
