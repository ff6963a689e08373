from pathlib import Path

import pytest
import torch

from learning.checkpoint import CorruptCheckpointError, load_checkpoint, save_checkpoint


def save(folder: Path, number: int) -> Path:
    return save_checkpoint(folder, number, {"weight": torch.full((3,), float(number))}, {"epoch": number})


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_the_newest_comes_back_and_only_the_one_before_is_kept(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        save(tmp_path, number)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    assert (checkpoint.number, checkpoint.config, checkpoint.refused) == (10, {"epoch": 10}, ())
    assert checkpoint.tensors["weight"].tolist() == [10, 10, 10]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00000002", "00000010"]


@pytest.mark.parametrize("name", ["tensors.safetensors", "config.json", "hashes.json"])
def test_a_flipped_bit_is_refused_and_the_one_before_used(tmp_path: Path, name: str) -> None:
    save(tmp_path, 1)
    flip_a_bit(save(tmp_path, 2) / name)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.number == 1
    assert "00000002" in checkpoint.refused[0]


def test_a_missing_file_and_an_unfinished_write_are_passed_over(tmp_path: Path) -> None:
    save(tmp_path, 1)
    (save(tmp_path, 2) / "config.json").unlink()
    (tmp_path / "00000003.part").mkdir()
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.number == 1
    assert save(tmp_path, 3).is_dir()


def test_no_whole_checkpoint_is_an_error_but_none_at_all_is_not(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    flip_a_bit(save(tmp_path, 1) / "tensors.safetensors")
    with pytest.raises(CorruptCheckpointError, match=r"tensors\.safetensors: its SHA-256"):
        load_checkpoint(tmp_path)
