"""The whole OpenAPI document, asked by a tool that makes up what it allows and what it does not."""

import os
import warnings
from pathlib import Path
from typing import Any

import hypothesis
import requests
import schemathesis
from filelock import FileLock
from hypothesis import HealthCheck, Phase
from schemathesis.checks import CHECKS
from schemathesis.generation import GenerationMode

from deployments.settings import Settings
from service.app import create_app
from service.core import make_core
from service.settings import ServiceSettings
from tests.service.conftest import Secrets, listening
from tests.service.plant import history_csv, make_plant

EXAMPLES = int(os.environ.get("LEHR_API_EXAMPLES", "6"))
"""Requests of each kind for each route; `LEHR_API_EXAMPLES=500` asks for long."""

NAMES = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")


def test_nothing_fails_and_nothing_undocumented_is_answered(tmp_path: Path, home: Path, secrets: Secrets) -> None:
    plant = make_plant(tmp_path, home)
    batch_id = plant.deliver(1)
    plant.promote(0)
    (home / "retraining").mkdir()
    # No training and no job is begun: that takes a process of its own each time.
    core = make_core(Settings(home=home), ServiceSettings(), [plant.pipeline])
    app = create_app(core)
    asked: dict[str, set[int]] = {}
    with FileLock(home / "retraining" / "lock"), listening(app) as address:
        core.trainings._at_once = 0  # pyright: ignore[reportPrivateUsage]
        headers = {"Authorization": f"Bearer {secrets['admin']}"}
        document = requests.get(f"{address}/openapi.json", headers=headers, timeout=10).json()
        sent = requests.post(
            f"{address}/api/v1/files?name=h.csv", headers=headers, data=history_csv(), timeout=10
        ).json()
        run = core.runs.create("asked about", {"request": {"epochs": 3}})
        core.runs.change_state(run.id, "cancelled")  # a stream of events ends with its training
        job = requests.post(
            f"{address}/api/v1/retraining/jobs",
            headers=headers,
            files={"file": ("h.csv", history_csv())},
            data={"pipeline": "line", "site": "kostroma"},
            timeout=10,
        ).json()
        name_what_is_there(
            document,
            {
                "name": ["line", "nowhere"],
                "version": [1, 2],
                "file_id": [sent["file_id"], "0" * 64],
                "task_id": [run.id, "epoch_training_1"],
                "job_id": [job["job_id"], "retraining_1"],
                "run_id": ["5f1c9b1e-8f57-4a59-9d62-6b2f1c3d4e5f"],
                "batch_id": [batch_id, "0" * 64],
            },
        )
        for operation in operations(document):
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                ask(operation, mode, address, headers, asked)
    routes = sum(method in ("get", "post", "delete") for item in document["paths"].values() for method in item)
    assert len(asked) == routes
    assert {200, 204, 400, 404, 409, 422} <= set().union(*asked.values())


def name_what_is_there(document: dict[str, Any], known: dict[str, list[Any]]) -> None:
    """Let the paths' parameters be what exists, or nearly so: what is made up is only ever not found."""
    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path":
                    parameter["schema"] = {"enum": known[parameter["name"]]}
                    parameter.pop("examples", None)


def operations(document: dict[str, Any]) -> list[Any]:
    return [result.ok() for result in schemathesis.openapi.from_dict(document).get_all_operations()]


def ask(operation: Any, mode: Any, address: str, headers: dict[str, str], asked: dict[str, set[int]]) -> None:
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def call(case: Any) -> None:
        response = case.call(base_url=address, headers=headers, timeout=20)
        asked.setdefault(operation.label, set()).add(response.status_code)
        case.validate_response(response, checks=CHECKS.get_by_names(NAMES))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call()
        except hypothesis.errors.Unsatisfiable:  # there is nothing that this route could refuse
            asked.setdefault(operation.label, set())
