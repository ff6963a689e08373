"""`ContinuousLearningSystem`: the whole loop around one ONNX file, as the earlier training module called it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import yaml

from data.files import write_whole
from deployments.adoption import PackedModel, adopt, header_of, open_packed
from deployments.line import open_line
from deployments.settings import Settings, keep_quiet
from monitoring.performance import LOWER_IS_BETTER

PERFORMANCE_THRESHOLD = 0.85

Frame = pl.DataFrame | pd.DataFrame
NewData = Frame | Iterable[Frame] | Path | str


@dataclass(frozen=True)
class Updated:
    """What was decided about new data.

    batches: a record for each, as `lehr run --report` writes them. promoted: whether the file is another one now.
    version: the one in production. reason: why the last batch was decided as it was.
    """

    promoted: bool
    version: int
    reason: str
    batches: tuple[dict[str, Any], ...]


class ContinuousLearningSystem:
    """A model file that is kept fresh: what it learns from stays beside it, and it only ever changes for the better.

    model_path: an ONNX file that lehr exported, with its training state inside. home: where the loop keeps batches,
    versions and decisions; None: a folder of the model's name that ends in .lehr, beside it.
    Raises ValueError, saying what to do, for a file without such a state.
    """

    def __init__(self, model_path: Path | str, home: Path | str | None = None) -> None:
        self.model_path = Path(model_path)
        self._settings = Settings(home=self.model_path.with_suffix(".lehr") if home is None else Path(home))
        self._open()

    def update_model(self, new_data: NewData, performance_threshold: float | None = None) -> Updated:
        """Take new data through the loop, and let the file become the new champion where one is promoted.

        new_data: a data frame (one batch), an iterable of frames (one batch each), or the path of a file or a folder.
        performance_threshold: the worst score on held-out rows that may go live, in the pipeline's metric; None: 0.85,
        or where less is better whatever beats the trivial predictor.
        Raises ValueError for data that are none of these, and while another process is at work on the model.
        """
        keep_quiet(self._settings)
        model = self._open()
        pipeline = self._write_pipeline(model, performance_threshold)
        self._adopt_once(pipeline, model)
        from flows.learn_continuously import learn_continuously

        deliveries = self._settings.home / "deliveries"
        sources = [str(source) for source in _sources(new_data, deliveries)]
        home = str(self._settings.home)
        report = learn_continuously(pipeline=str(pipeline), sources=sources, action="update", home=home)
        for delivered in deliveries.glob("*.parquet"):
            delivered.unlink()
        return self._follow_champion(pipeline, model, report["batches"])

    def _open(self) -> PackedModel:
        try:
            return open_packed(self.model_path.read_bytes())
        except OSError as error:
            raise ValueError(f"cannot read the model file {self.model_path}: {error.strerror}") from None
        except ValueError as error:
            raise ValueError(f"{self.model_path}: {error}") from None

    def _write_pipeline(self, model: PackedModel, threshold: float | None) -> Path:
        """The pipeline that the file says it learned by, with the columns it reads and the threshold asked for."""
        document = model.config.model_dump(mode="json", exclude_none=True)
        document["data"]["features"] = {"include": list(model.schema.features)}
        if threshold is None and model.config.metric not in LOWER_IS_BETTER:
            threshold = PERFORMANCE_THRESHOLD
        document["gate"] = {**document["gate"], "threshold": threshold}
        path = self._settings.home / f"{model.config.name}.yaml"
        write_whole(path, yaml.safe_dump(document, sort_keys=False).encode())
        return path

    def _adopt_once(self, pipeline: Path, model: PackedModel) -> None:
        """The first time the file becomes the champion; later it must be one of the versions that are known here."""
        with open_line(pipeline, self._settings, [header_of(model)]) as line:
            if line.ledger.champion(line.name) is None:
                adopt(line, model, self.model_path.name)
            elif _sha256(model.onnx) not in _known_hashes(line.folder / "versions"):
                raise ValueError(
                    f"{self.model_path} is none of the versions in {self._settings.home}; put back the file that was "
                    f"there, or give another home to start over from this one"
                )

    def _follow_champion(self, pipeline: Path, before: PackedModel, batches: list[dict[str, Any]]) -> Updated:
        with open_line(pipeline, self._settings, [header_of(before)]) as line:
            champion = line.ledger.champion(line.name)
            assert champion is not None, "the file was adopted"
            onnx = (line.version_folder(champion.version) / "model.onnx").read_bytes()
        promoted = any(record["promoted"] for record in batches)
        if promoted:
            write_whole(self.model_path, onnx)
        return Updated(promoted, champion.version, _reason(batches[-1]) if batches else "no data came", tuple(batches))


def _sources(new_data: NewData, deliveries: Path) -> list[Path]:
    """The files to learn from; frames become files first, and one that an earlier call left comes before them."""
    if isinstance(new_data, Path | str):
        return [deliveries, Path(new_data)] if deliveries.exists() else [Path(new_data)]
    frames: Any = [new_data] if isinstance(new_data, pl.DataFrame | pd.DataFrame) else new_data
    if not isinstance(frames, Iterable):
        raise ValueError(f"new_data is a {type(new_data).__name__}; give a data frame, an iterable of them, or a path")
    left = [int(path.stem) for path in deliveries.glob("*.parquet")]
    for number, frame in enumerate(frames, start=max(left, default=0) + 1):
        write_whole(deliveries / f"{number:06}.parquet", _parquet(frame))
    return [deliveries]


def _parquet(frame: Any) -> bytes:
    match frame:
        case pl.DataFrame():
            table = frame
        case pd.DataFrame():
            table = pl.from_pandas(frame)
        case _:
            raise ValueError(f"new_data holds a {type(frame).__name__}; each item must be a data frame")
    buffer = BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def _known_hashes(versions: Path) -> set[str]:
    """Of each version's file, and of the file that was adopted."""
    cards = [json.loads(card.read_text(encoding="utf-8")) for card in versions.glob("*/card.json")]
    own = {card["sha256"]["model.onnx"] for card in cards}
    return own | {card["adopted"]["sha256"] for card in cards if "adopted" in card}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _reason(record: dict[str, Any]) -> str:
    """Why a batch was refused, or its candidate was promoted or not."""
    if record["reason"] is not None:
        return f"{record['name']} was {record['status']}: {record['reason']}"
    gate = record["gate"]
    if gate is None:
        return f"{record['name']}: {record['status']}, nothing was learned"
    failed = [check["text"] for check in gate["checks"] if not check["passed"]]
    return "; ".join(failed) if failed else "all checks passed"
