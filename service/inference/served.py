"""Versions that are served: each pipeline's champion, swapped as the ledger changes, and others when asked for."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from data.ledger import Ledger
from deployments.scoring import OUTPUT, OnnxModel
from deployments.versions import load_version
from service.inference.batching import Batcher, pace_of
from service.inference.signals import ServedSignals, open_signals, represents_signals
from service.inference.tensors import LABEL

LOOK_SECONDS = 0.05
LOOK_SECONDS_UNTOLD = 0.5
"""Where the database cannot tell for little whether anything changed."""
MOST_OTHERS = 8

_log = logging.getLogger("lehr.service")


@dataclass(frozen=True)
class Served:
    """A version in memory, ready to predict."""

    name: str
    version: int
    sha256: str
    model: OnnxModel
    batcher: Batcher
    classes: list[str] | None
    features: list[str]
    target: str
    window_length: int

    @property
    def outputs(self) -> list[str]:
        """The names of what it answers."""
        return [OUTPUT] if self.classes is None else [OUTPUT, LABEL]

    def labels(self, outputs: np.ndarray[Any, Any]) -> list[str]:
        """The likeliest class of each sample."""
        assert self.classes is not None, "values have no labels"
        return [self.classes[best] for best in outputs.argmax(1)]


AnyServed = Served | ServedSignals


class Versions:
    """What is served; used from one event loop. A version is opened beside the one that serves, and then swapped."""

    def __init__(self, ledger: Ledger, home: Path) -> None:
        self._ledger, self._home = ledger, home
        self._champions: dict[str, AnyServed] = {}
        self._others: dict[tuple[str, int], AnyServed] = {}
        self._opening = asyncio.Lock()

    async def run(self) -> None:
        """Follow the ledger until cancelled."""
        commits, seen = self._ledger.commits(), None
        try:
            while True:
                try:
                    if (mark := commits.mark()) != seen:
                        await self._follow()
                        seen = mark
                except SQLAlchemyError:
                    _log.exception("could not look which versions are in production")
                await asyncio.sleep(LOOK_SECONDS if commits.can_tell else LOOK_SECONDS_UNTOLD)
        finally:
            commits.close()

    async def champion(self, name: str) -> AnyServed | None:
        """What is in production; None where nothing is, or there is no such pipeline."""
        return self._champions.get(name) or await self._open_champion(name)

    async def version(self, name: str, version: int) -> AnyServed | None:
        """A registered version; None where there is none of this number."""
        champion = self._champions.get(name)
        if champion is not None and champion.version == version:
            return champion
        async with self._opening:
            if (name, version) not in self._others:
                opened = await asyncio.to_thread(self._open, name, version)
                if opened is None:
                    return None
                self._others[name, version] = opened
                while len(self._others) > MOST_OTHERS:
                    self._others.pop(next(iter(self._others)))
            return self._others[name, version]

    async def _follow(self) -> None:
        for name in await asyncio.to_thread(self._ledger.pipelines):
            await self._open_champion(name)

    async def _open_champion(self, name: str) -> AnyServed | None:
        async with self._opening:
            promotion = await asyncio.to_thread(self._ledger.champion, name)
            serving = self._champions.get(name)
            if promotion is None or (serving is not None and serving.version == promotion.version):
                return serving
            try:
                opened = await asyncio.to_thread(self._open, name, promotion.version)
            except ValueError:
                _log.exception("the version in production cannot be opened", extra={"pipeline": name})
                return serving
            if opened is not None:
                self._champions[name] = opened
                _log.info("serves", extra={"pipeline": name, "version": opened.version})
            return opened

    def _open(self, name: str, version: int) -> AnyServed | None:
        """Read, check and warm up a version; raises ValueError where it is not what was registered."""
        registered = {entry.version: entry for entry in self._ledger.versions(name)}
        if version not in registered:
            return None
        sha256 = registered[version].sha256
        files = load_version(self._home / name / "versions" / str(version), sha256)
        if represents_signals(files):
            return open_signals(name, version, sha256, files)
        model, card = OnnxModel(files.onnx), files.card
        target, length = card["config"]["data"]["target"], card["config"]["data"]["window"]["length"]
        batcher = Batcher(model, pace_of(model, length))
        return Served(name, version, sha256, model, batcher, card["classes"], card["features"], target, length)
