import json
from pathlib import Path

import polars as pl
import pytest

from deployments.versions import FILES, load_version, save_version

MEMORY = pl.DataFrame({"batch": [1, 2]})


def test_a_version_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    digest = save_version(tmp_path / "3", b"onnx", {"strategy": "replay"}, b"npz", MEMORY)
    files = load_version(tmp_path / "3", digest)
    assert (files.onnx, files.reference, files.card["strategy"]) == (b"onnx", b"npz", "replay")
    assert files.memory.equals(MEMORY)
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(["3", *FILES])


def test_a_folder_that_a_dead_run_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "3.part").mkdir()
    (tmp_path / "3.part" / "junk").write_text("x")
    save_version(tmp_path / "3", b"old", {}, b"npz", MEMORY)
    digest = save_version(tmp_path / "3", b"new", {}, b"npz", MEMORY)
    assert load_version(tmp_path / "3", digest).onnx == b"new"
    assert not (tmp_path / "3.part").exists()


@pytest.mark.parametrize("name", FILES)
def test_a_changed_or_missing_file_is_named(tmp_path: Path, name: str) -> None:
    digest = save_version(tmp_path / "3", b"onnx", {}, b"npz", MEMORY)
    path = tmp_path / "3" / name
    content = path.read_bytes()
    path.write_bytes(json.dumps({**json.loads(content), "x": 1}).encode() if name == "card.json" else content + b"x")
    with pytest.raises(ValueError, match=f"{name} was changed since its version was registered"):
        load_version(tmp_path / "3", digest)
    path.unlink()
    with pytest.raises(ValueError, match=f"the model version lacks .*{name}"):
        load_version(tmp_path / "3", digest)
