from pathlib import Path

import pytest

from tests.service.plant import Plant, make_plant


@pytest.fixture
def words() -> tuple[str, str]:
    """A delivery's name, and the reason of the decision about it."""
    return "{number}.csv", "reason {number}"


@pytest.fixture
def plant(tmp_path: Path, home: Path, words: tuple[str, str]) -> Plant:
    """Three batches, of which the last one's candidate was refused."""
    plant = make_plant(tmp_path, home)
    for number, score in ((1, 0.7), (2, 0.8), (3, 0.75)):
        name, reason = (text.format(number=number) for text in words)
        plant.finish(number, name, score, reason, passed=number < 3)
    return plant


@pytest.fixture
def pipelines(plant: Plant) -> list[Path]:
    return [plant.pipeline]
