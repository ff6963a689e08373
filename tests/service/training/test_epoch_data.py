from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.settings import Settings
from service.app import create_app
from service.core import make_core, now
from service.settings import ServiceSettings
from service.training.epoch_config import EpochTraining
from service.training.epoch_data import read_data
from tests.service.conftest import Secrets, client_with, listening
from tests.service.plant import Plant, make_plant

START = "/api/v1/epoch-training/start"


@pytest.fixture
def plant(tmp_path: Path, home: Path) -> Plant:
    plant = make_plant(tmp_path, home)
    for number in (1, 2, 3):
        plant.deliver(number)
    return plant


def asked(**source: Any) -> dict[str, Any]:
    columns = {"feature_columns": ["speed"], "target_column": "quality"}
    return {"name": "x", **columns, "data_source": {"pipeline": "line", **source}}


def rows(plant: Plant, request: dict[str, Any]) -> list[int]:
    """The batches of the rows that are read."""
    training = EpochTraining.model_validate(request).model_dump(mode="json")
    config = {"request": training, "pipeline": plant.config.model_dump(mode="json")}
    return sorted(set(read_data(Settings(home=plant.home), config).rows["lehr_batch"].to_list()))


def test_batches_are_chosen_by_id_or_by_time(plant: Plant) -> None:
    ids = [entry.batch_id for entry in plant.ledger.batches("line")]
    arrivals = [entry.arrived_at.isoformat() for entry in plant.ledger.batches("line")]
    assert rows(plant, asked(kind="batches", batch_ids=[ids[0], ids[2]])) == [1, 3]
    assert rows(plant, asked(kind="feature_store")) == [1, 2, 3]
    assert rows(plant, asked(kind="feature_store", days=1)) == [1, 2, 3]
    assert rows(plant, asked(kind="feature_store", since=arrivals[1])) == [2, 3]
    assert rows(plant, asked(kind="feature_store", since=arrivals[0], until=arrivals[1])) == [1]
    with pytest.raises(ValueError, match="there is no batch 000"):
        rows(plant, asked(kind="batches", batch_ids=["0" * 64]))
    with pytest.raises(ValueError, match="nothing to learn in 0 rows"):
        rows(plant, asked(kind="feature_store", since=(now() + timedelta(days=1)).isoformat()))


def test_what_is_stored_is_learned_from_with_the_chosen_features(plant: Plant, home: Path, secrets: Secrets) -> None:
    core = make_core(Settings(home=home), ServiceSettings(), [plant.pipeline])
    with listening(create_app(core)) as address, client_with(address, secrets["train"]) as client:
        wrong = client.post(START, json={**asked(kind="feature_store"), "target_column": "heat"})
        assert wrong.status_code == 422
        assert "line learns 'quality' by classification" in wrong.json()["detail"]
        task_id = client.post(START, json=asked(kind="feature_store")).json()["task_id"]
    config = core.runs.get(task_id).config
    data = read_data(Settings(home=home), config)
    assert data.schema.features == ("speed",)
    assert set(data.rows["lehr_split"]) > {"train", "holdout"} or set(data.rows["lehr_split"]) == {"train", "holdout"}
    assert len(data.train) + len(data.holdout) <= data.rows.height
