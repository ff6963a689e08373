"""A model version: one folder that is whole or not there."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from data.changes import Change, sha256_of
from data.files import sync_folder, write_whole

FILES = ("model.onnx", "reference.npz", "memory.parquet", "card.json")


@dataclass(frozen=True)
class VersionFiles:
    """What a version's folder holds.

    onnx: the network with its normaliser and its training state; card: what it is and where it comes from;
    reference: what drift is measured against; memory: the samples kept for replay.
    """

    onnx: bytes
    card: dict[str, Any]
    reference: bytes
    memory: pl.DataFrame


def save_version(folder: Path, onnx: bytes, card: Mapping[str, Any], reference: bytes, memory: pl.DataFrame) -> str:
    """Write a version's folder and return its SHA-256: that of its card, which holds those of the other files.

    A folder left by a run that died is replaced; a reader never sees a part.
    """
    parquet = BytesIO()
    memory.write_parquet(parquet)
    contents = {"model.onnx": onnx, "reference.npz": reference, "memory.parquet": parquet.getvalue()}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    contents["card.json"] = json.dumps({**card, "sha256": hashes}, indent=2, allow_nan=False).encode()
    unfinished = folder.with_name(folder.name + ".part")
    for path in (unfinished, folder):
        shutil.rmtree(path, ignore_errors=True)
    for name, content in contents.items():
        write_whole(unfinished / name, content)
    unfinished.rename(folder)
    sync_folder(folder.parent)
    return hashlib.sha256(contents["card.json"]).hexdigest()


def load_version(folder: Path, sha256: str) -> VersionFiles:
    """Read a version's folder; raises ValueError, naming the file, where one is missing or was changed."""
    card, contents = load_card(folder, sha256), {name: _read(folder / name) for name in FILES}
    for name, digest in card["sha256"].items():
        _expect(folder / name, contents[name], digest)
    memory = pl.read_parquet(BytesIO(contents["memory.parquet"]))
    return VersionFiles(contents["model.onnx"], card, contents["reference.npz"], memory)


def load_card(folder: Path, sha256: str) -> dict[str, Any]:
    """Read a version's card; raises ValueError where it is missing or was changed."""
    content = _read(folder / "card.json")
    _expect(folder / "card.json", content, sha256)
    return json.loads(content)


def check_version(folder: Path, sha256: str) -> list[Change]:
    """What of a version's folder is not as it was registered: files that were changed, are missing, or were put in."""
    card, found = folder / "card.json", {path.name for path in folder.glob("*")}
    known = {"card.json": sha256}
    if card.is_file() and sha256_of(card) == sha256:  # a changed card says nothing about the other files
        known |= json.loads(card.read_bytes())["sha256"]
    changes = [Change(str(folder / name), "was put in beside the version") for name in sorted(found - {*FILES})]
    for name in FILES:
        if name not in found:
            changes.append(Change(str(folder / name), "is missing"))
        elif name in known and known[name] != sha256_of(folder / name):
            changes.append(Change(str(folder / name), "was changed since its version was registered"))
    return changes


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"the model version lacks {path}: {error.strerror}") from None


def _expect(path: Path, content: bytes, sha256: str) -> None:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{path} was changed since its version was registered: its SHA-256 is another")
