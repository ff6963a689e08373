"""Checkpoints of a Delta Lake table's log, so that an append does not read all commits there ever were."""

import json
from pathlib import Path

from deltalake import DeltaTable

from data.files import sync_file, sync_folder

INTERVAL = 10
"""Commits from one checkpoint to the next; an append into a hundred commits without one takes ten times as long."""


def checkpoint(folder: Path, version: int) -> None:
    """Write a checkpoint after every tenth commit and bring it to disk; the commits stay where they are."""
    if (version + 1) % INTERVAL:
        return
    DeltaTable(str(folder)).create_checkpoint()
    log = folder / "_delta_log"
    last = log / "_last_checkpoint"
    for path in (*log.glob(f"{json.loads(last.read_text())['version']:020}.checkpoint*.parquet"), last):
        sync_file(path)
    sync_folder(log)
