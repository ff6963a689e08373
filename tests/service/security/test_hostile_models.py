"""Models that nobody means well with, to all that opens a model: refused with a reason, and never run."""

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments.adoption import open_packed
from deployments.scoring import OnnxModel
from tests.service.security.hostile_models import hostile_models

MODELS = hostile_models()
LOADERS: dict[str, Callable[[bytes], Any]] = {"to go on learning": open_packed, "to serve": OnnxModel}
SERVES_ANYWAY = {
    name for name in MODELS if name.startswith(("state", "contents", "a card", "a deep", "a memory", "a flipped"))
}
"""What only learning reads. What is served was exported here, and its files' hashes stand in the ledger."""
RUNS_ON_REQUEST_ALONE = {"an infinite loop"}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("loader", LOADERS)
def test_it_is_refused_with_a_reason(name: str, loader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if loader == "to serve" and name in SERVES_ANYWAY | RUNS_ON_REQUEST_ALONE:
        LOADERS[loader](MODELS[name])
    else:
        with pytest.raises(ValueError, match=r".{10}"):
            LOADERS[loader](MODELS[name])
    assert time.monotonic() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "KiB"
    assert list(tmp_path.iterdir()) == []
