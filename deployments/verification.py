"""Whether ledger, versions, feature store and predictions are still what lehr recorded."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from data.changes import Change, sha256_of
from data.delta import open_table
from data.ledger import Ledger
from data.seals import Seal, check_files, check_seals
from deployments.outcomes import LabelsTaken, Stored
from deployments.predicting import record_path
from deployments.versions import FILES, check_version


@dataclass(frozen=True)
class Verified:
    """hashes: how many were recomputed; head: the last hash of the ledger's chain, to be kept elsewhere.

    changes: all that is not as it was recorded. notes: what could not be checked, or was left by a run that died.
    """

    hashes: int
    head: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """The result for a person, a line each; the last one is the head."""
        changed = [f"✗ {change.where} {change.what}" for change in self.changes]
        whole = f"all {self.hashes:,} hashes are as recorded"
        said = f"{len(changed)} of {self.hashes:,} hashes are not as recorded" if changed else whole
        return [*changed, *(f"• {note}" for note in self.notes), said, f"head {self.head}"]


def verify(ledger: Ledger, home: Path, pipelines: list[str], expected: str | None = None) -> Verified:
    """Recompute the hashes of the whole ledger, and of all that lies under the home of some of its pipelines.

    expected: the head of an earlier check, which must be part of the chain. Nothing is changed.
    """
    chain = ledger.check(expected)
    hashes, changes, notes = 2 * chain.links, list(chain.changes), list[str]()
    for name in pipelines:
        for check in (_versions, _store, _labels, _predictions):
            found = check(ledger, name, home / name)
            hashes += found.hashes
            changes += found.changes
            notes += found.notes
    return Verified(hashes, chain.head, tuple(changes), tuple(notes))


@dataclass(frozen=True)
class _Found:
    hashes: int
    changes: list[Change]
    notes: list[str]


def _versions(ledger: Ledger, name: str, folder: Path) -> _Found:
    registered = {str(entry.version): entry.sha256 for entry in ledger.versions(name)}
    changes = [c for number, sha256 in registered.items() for c in check_version(folder / "versions" / number, sha256)]
    others = sorted({path.name for path in (folder / "versions").glob("*")} - set(registered))
    notes = [f"{folder / 'versions' / other} belongs to no registered version: a run died before" for other in others]
    return _Found(len(FILES) * len(registered), changes, notes)


def _store(ledger: Ledger, name: str, folder: Path) -> _Found:
    numbers = {entry.batch_id: entry.number for entry in ledger.batches(name)}
    seals: dict[int, Seal] = {}
    unsealed: list[int] = []
    for batch_id, result in ledger.results(name, "store").items():
        number, stored = numbers.get(batch_id, 0), TypeAdapter(Stored).validate_python(result)
        if stored.seal is None:
            unsealed.append(number)
        else:
            seals[number] = stored.seal
    finished = ledger.results(name, "finish")
    interrupted = [number for batch_id, number in numbers.items() if batch_id not in finished]
    known = {path for seal in seals.values() for path in seal.files}
    others = [] if unsealed else _unknown(folder / "store", known)
    notes = [f"{path} belongs to no stored batch, and no reader sees it: a run died before" for path in others]
    if unsealed:
        notes.append(f"{len(unsealed)} batches of {name} were stored before rows were hashed, and cannot be checked")
    hashes = sum(1 + len(seal.files) for seal in seals.values())
    return _Found(hashes, list(check_seals(folder / "store", seals, [*unsealed, *interrupted])), notes)


def _labels(ledger: Ledger, name: str, folder: Path) -> _Found:
    """The files of the table of late labels; one that no file of labels brought was put in."""
    numbers = {entry.batch_id: entry.number for entry in ledger.batches(name)}
    taken = {
        numbers[batch_id]: TypeAdapter(LabelsTaken).validate_python(result)
        for batch_id, result in ledger.results(name, "labels").items()
    }
    seals = {number: found.seal for number, found in taken.items() if found.seal is not None}
    changes = list(check_files(folder / "labels", seals))
    known = {path for seal in seals.values() for path in seal.files}
    table, place = open_table(folder / "labels"), (folder / "labels").resolve()
    read = set[str]() if table is None else {str(Path(uri).relative_to(place)) for uri in table.file_uris()}
    others = [folder / "labels" / path for path in sorted(read - known)]
    interrupted = len(numbers) > len(ledger.results(name, "finish"))
    notes = [f"{path} holds labels of a run that died" for path in others if interrupted]
    changes += [Change(str(p), "was put in by other means than lehr's") for p in others if not interrupted]
    return _Found(sum(len(seal.files) for seal in seals.values()), changes, notes)


def _unknown(folder: Path, known: set[str]) -> Iterator[Path]:
    files = (path for path in sorted(folder.rglob("*.parquet")) if "_delta_log" not in path.parts)
    return (path for path in files if str(path.relative_to(folder)) not in known)


def _predictions(ledger: Ledger, name: str, folder: Path) -> _Found:
    changes: list[Change] = []
    paths = {record_path(folder, request): request for request in ledger.predictions(name)}
    for path, request in paths.items():
        if not path.is_file():
            changes.append(Change(str(path), f"is missing; it holds {request.rows} predictions"))
        elif sha256_of(path) != request.record_sha256:
            changes.append(Change(str(path), f"was changed; it holds {request.rows} predictions"))
    others = sorted({*(folder / "predictions").rglob("*.parquet")} - set(paths))
    notes = [f"{path} belongs to no request: a prediction was interrupted" for path in others]
    return _Found(len(paths), changes, notes)
