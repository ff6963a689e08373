from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.service.plant import Plant, make_plant


@pytest.fixture
def plant(tmp_path: Path, home: Path) -> Plant:
    plant = make_plant(tmp_path, home)
    plant.deliver(1)
    plant.promote(0)
    return plant


@pytest.fixture
def client(plant: Plant, client_of: Callable[[str], httpx.Client]) -> httpx.Client:
    return client_of("predict")
