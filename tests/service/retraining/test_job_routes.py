"""Retraining jobs over real sockets; those that train do so in real processes."""

import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from filelock import FileLock

from deployments.line import open_ledger
from deployments.settings import Settings
from lehr import Client
from service.app import create_app
from service.core import Core, make_core, now
from service.security.tokens import make_token, tokens_path
from service.settings import MIB, ServiceSettings
from tests.deployments.jobs import DOCUMENT, site_csv
from tests.service.conftest import Secrets, client_with, listening
from tests.service.plant import trained_version
from tests.service.test_server import free_port, wait_until_live

JOBS = "/api/v1/retraining/jobs"
ROOT = Path(__file__).parents[3]
LONG = {**DOCUMENT, "training": {"epochs": 10_000, "patience": 10_000}}


def make_service(folder: Path, **service: Any) -> Core:
    pipeline = folder / "line.yaml"
    pipeline.write_text(yaml.safe_dump(DOCUMENT))
    return make_core(Settings(home=folder / "home"), ServiceSettings(**service), [pipeline])


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service that takes jobs, and does none of them: another one on this home does."""
    folder = tmp_path_factory.mktemp("plant")
    secret = make_token(tokens_path(folder / "home"), "site", ["train"], None, now())
    (folder / "home" / "retraining").mkdir()
    (folder / "home" / "elsewhere").mkdir()
    core = make_service(folder, max_model_bytes=100_000)
    with (
        FileLock(folder / "home" / "retraining" / "lock"),
        listening(create_app(core)) as address,
        client_with(address, secret) as client,
    ):
        yield client


def send(client: httpx.Client, content: bytes | None = None, **fields: Any) -> httpx.Response:
    """fields: of the form; a tuple of name and content is a file."""
    given = {"file": ("h.csv", site_csv() if content is None else content), "pipeline": "line", **fields}
    files = {name: value for name, value in given.items() if isinstance(value, tuple)}
    data = {name: value for name, value in given.items() if isinstance(value, str)}
    return client.post(JOBS, files=files, data=data)


def config(**changes: Any) -> str:
    return yaml.safe_dump({**DOCUMENT, "name": "press", **changes})


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"pipeline": None}, 422, "name a pipeline"),
        ({"config": config()}, 422, "one of the two"),
        ({"pipeline": "nowhere"}, 404, "there is no pipeline 'nowhere'"),
        ({"pipeline": "../../etc"}, 404, "there is no pipeline"),
        ({"site": "../moskva"}, 422, "site"),
        ({"site": "Kostroma"}, 422, "site"),
        ({"site": "a--b"}, 422, "site"),
        ({"file": None, "card": ("c.json", b"{}")}, 422, "no file"),
        ({"file": ("h.csv", b"")}, 422, "empty"),
        ({"file": ("h.exe", b"MZ")}, 422, "plain file name"),
        ({"file": ("../h.csv", site_csv())}, 422, "plain file name"),
        ({"file": ("h.csv", b"\x00" * 100)}, 422, "h.csv"),
        ({"file": ("h.csv", b"heat,quality\n1,good\n")}, 202, ""),  # features are resolved against what comes
        ({"file": ("h.csv", b"heat,speed\n1,2\n")}, 422, "there is no column 'quality'"),
        ({"file": ("h.parquet", b"PAR1" + bytes(50) + b"PAR1")}, 422, "broken"),
        ({"strange": ("x.csv", b"1")}, 422, "no part of the form"),
        ({"pipeline": None, "config": "name: [", "site": "a"}, 422, "config is not YAML"),
        ({"pipeline": None, "config": "{}"}, 422, "name: is missing"),
        ({"pipeline": None, "config": config(model={"architecture": "forest"})}, 422, "architecture"),
        ({"pipeline": None, "config": config(validation={"suite": "/etc/passwd"})}, 422, "may not name files"),
        ({"pipeline": None, "config": config(schedule={"inbox": "/etc"})}, 422, "may not name files"),
        ({"pipeline": None, "config": config(name="line")}, 409, "there is a pipeline line already"),
        ({"pipeline": None, "config": config(name="elsewhere")}, 409, "elsewhere already"),
        ({"pipeline": None, "config": config(name="mlflow")}, 422, "cannot be taken"),
        ({"pipeline": None, "config": config(name="line--moskva")}, 422, "cannot be taken"),
        ({"pipeline": None, "config": "a: &a [1]\nb: [*a, *a]"}, 422, "alias"),
        *[({"pipeline": None, "config": deep * 3_000}, 422, "nested") for deep in ("[", "{a: ", "- ", "? ")],
        ({"pipeline": None, "config": "x" * 20_000}, 413, "longer than"),
        ({"model": ("m.pt", pickle.dumps([1]))}, 422, "plain file name"),
        ({"model": ("m.onnx", pickle.dumps([1]))}, 422, "pickle"),
        ({"model": ("m.onnx", b"\x08\x07")}, 422, "no training state"),
        ({"model": ("m.safetensors", bytes(100))}, 422, "no safetensors file"),
        ({"model": ("m.onnx", bytes(200_000))}, 413, "larger than"),
        ({"card": ("c.json", b"{}")}, 422, "none came"),
    ],
)
def test_a_job_that_cannot_be_done_is_refused_with_the_reason(
    idle: httpx.Client, fields: dict[str, Any], status: int, said: str
) -> None:
    answer = send(idle, **fields)
    assert answer.status_code == status, answer.text
    if status != 202:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert said in answer.json()["detail"]


def test_no_form_is_no_job(idle: httpx.Client) -> None:
    answer = idle.post(JOBS, content=site_csv())
    assert (answer.status_code, "send a form" in answer.json()["detail"]) == (422, True)


def test_a_job_waits_and_is_sent_once_under_its_key(idle: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "january.csv").write_bytes(site_csv(seed=9))
    (tmp_path / "model.onnx").write_bytes(trained_version(0).onnx)
    secret = idle.headers["Authorization"].removeprefix("Bearer ")
    with Client(str(idle.base_url), secret) as client:
        told = [
            client.jobs.send(
                tmp_path / "january.csv", "line", site="yaroslavl", model=tmp_path / "model.onnx", key="7f3a"
            )
            for _ in range(2)
        ]
        assert told[0] == told[1]
        (job,) = client.jobs.all(site="yaroslavl")
        assert (job["pipeline"], job["stage"], job["file"]["name"]) == ("line--yaroslavl", "received", "january.csv")
        assert job == client.jobs.get(job["job_id"])
        inline = client.jobs.send(tmp_path / "january.csv", config={**DOCUMENT, "name": "press"})
        assert inline["pipeline"] == "press"
    assert idle.get(f"{JOBS}/{job['job_id']}/model").status_code == 409
    for unknown in ("retraining_1", "epoch_training_1", "..%2Fx", "%00"):
        assert idle.get(f"{JOBS}/{unknown}").status_code == 404
        assert idle.delete(f"{JOBS}/{unknown}").status_code == 404


def stage(client: httpx.Client, job_id: str) -> str:
    return client.get(f"{JOBS}/{job_id}").json()["stage"]


def wait_for(what: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_training_that_needs_too_much_memory_fails_and_the_service_lives(tmp_path: Path) -> None:
    secret = make_token(tokens_path(tmp_path / "home"), "site", ["train"], None, now())
    core = make_service(tmp_path, job_memory_bytes=150 * MIB)
    with listening(create_app(core)) as address, client_with(address, secret) as client:
        job_id = send(client).json()["job_id"]
        wait_for(lambda: stage(client, job_id) == "failed")
        told = client.get(f"{JOBS}/{job_id}").json()
        assert told["reason"] == "it needed more than 150 MiB of memory"
        assert told["isolation"] in ("bwrap", "limits")
        assert client.get(JOBS).status_code == 200
    assert core.ledger.pipelines() == []


def send_long(client: httpx.Client) -> str:
    """A job that is still at work whenever one looks, after its first epochs."""
    fields = {"pipeline": None, "config": yaml.safe_dump({**LONG, "name": "press"}), "site": "kostroma"}
    job_id = send(client, **fields).json()["job_id"]
    wait_for(lambda: epochs(client, job_id) > 100)
    return job_id


def remove_and_wait(client: httpx.Client, job_id: str) -> None:
    assert client.delete(f"{JOBS}/{job_id}").status_code == 204
    wait_for(lambda: stage(client, job_id) == "cancelled")
    wait_for(lambda: not client.get(f"{JOBS}/{job_id}").json()["files_kept"])


def test_a_job_that_is_removed_while_it_trains_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    secret = make_token(tokens_path(home), "site", ["train"], None, now())
    core = make_service(tmp_path)
    with listening(create_app(core)) as address, client_with(address, secret) as client:
        job_id = send_long(client)
        remove_and_wait(client, job_id)
        assert client.delete(f"{JOBS}/{job_id}").status_code == 204
        assert client.get(JOBS).json()["jobs"][0]["stage"] == "cancelled"
        assert [path.name for path in (home / "retraining").iterdir()] == ["lock"]
    assert core.ledger.pipelines() == []
    assert not trainers(home)


def trainers(home: Path) -> list[str]:
    """Processes that train for a job of this home."""
    lines = [path / "cmdline" for path in Path("/proc").iterdir() if path.name.isdigit()]
    words = [path.read_text().split("\0") for path in lines if path.is_file()]
    return [
        " ".join(line) for line in words if "service.retraining.job_process" in line and str(home) in " ".join(line)
    ]


@pytest.mark.torture
def test_a_job_outlives_a_restart(tmp_path: Path) -> None:
    secret = make_token(tokens_path(tmp_path / "home"), "site", ["train"], None, now())
    with listening(create_app(make_service(tmp_path))) as address, client_with(address, secret) as client:
        job_id = send_long(client)
    assert not trainers(tmp_path)
    core = make_service(tmp_path)
    with listening(create_app(core)) as address, client_with(address, secret) as client:
        before = epochs(client, job_id)
        wait_for(lambda: epochs(client, job_id) > before)
        remove_and_wait(client, job_id)
    stages = [event.payload["stage"] for event in core.runs.events(job_id) if event.kind == "stage"]
    told = [event.payload["metrics"]["epoch"] for event in core.runs.events(job_id) if event.kind == "epoch"]
    assert stages == ["validating", "training", "validating", "training"]
    assert told == sorted(set(told))


def epochs(client: httpx.Client, job_id: str) -> int:
    progress = client.get(f"{JOBS}/{job_id}").json()["progress"]
    return progress["current_epoch"] if progress else 0


@contextmanager
def serving(
    tmp_path: Path, home: Path, secrets: Secrets
) -> Generator[Callable[[], tuple[subprocess.Popen[bytes], str]]]:
    """What starts `lehr serve` in a process of its own, again and again at one address."""
    pipeline, port = tmp_path / "line.yaml", free_port()
    pipeline.write_text(yaml.safe_dump({**DOCUMENT, "training": {"epochs": 4000, "patience": 4000}}))
    command = [sys.executable, "lehr.py", "serve", str(pipeline), "--port", str(port), "--home", str(home)]
    started: list[subprocess.Popen[bytes]] = []

    def start() -> tuple[subprocess.Popen[bytes], str]:
        address = f"http://127.0.0.1:{port}"
        started.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        with client_with(address, secrets["admin"]) as client:
            wait_until_live(client)
        return started[-1], address

    try:
        yield start
    finally:
        started[-1].terminate()
        started[-1].wait(30)


@pytest.mark.torture
@pytest.mark.timeout(600)
def test_the_service_is_killed_while_a_job_trains_and_while_it_is_judged(
    tmp_path: Path, secrets: Secrets, home: Path
) -> None:
    with serving(tmp_path, home, secrets) as start:
        service, address = start()
        with client_with(address, secrets["train"]) as client:
            job_id = send(client, site_csv(seed=1), site="kostroma").json()["job_id"]
            for reached in (lambda: epochs(client, job_id) > 50, lambda: stage(client, job_id) == "judging"):
                wait_for(reached)
                time.sleep(2)
                service.kill()
                service.wait()
                service, _ = start()
            wait_for(lambda: stage(client, job_id) in ("registered", "refused", "failed"), 200)
            assert stage(client, job_id) == "registered"
            assert client.get(f"{JOBS}/{job_id}/model").status_code == 200
    ledger = open_ledger(Settings(home=home))
    assert [p.version for p in ledger.history("line--kostroma")] == [1]
    assert len(ledger.batches("line--kostroma")) == 1
    assert json.loads((home / "line--kostroma" / "versions" / "1" / "card.json").read_text())["made_by"] == "job"


@pytest.mark.torture
@pytest.mark.timeout(600)
def test_the_command_line_fetches_what_passed_and_is_told_why_noise_did_not(
    tmp_path: Path, secrets: Secrets, home: Path
) -> None:
    with serving(tmp_path, home, secrets) as start:
        _, address = start()
        environment = {**os.environ, "LEHR_URL": address, "LEHR_TOKEN": secrets["train"]}

        def remote_send(content: bytes) -> subprocess.CompletedProcess[str]:
            (tmp_path / "data.csv").write_bytes(content)
            words = [str(tmp_path / "data.csv"), "--pipeline", "line", "--output", str(tmp_path / "m.onnx")]
            command = [sys.executable, "lehr.py", "remote", "send", *words]
            return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

        passed = remote_send(site_csv(seed=1))
        assert passed.returncode == 0, passed.stderr
        with client_with(address, secrets["train"]) as client:
            assert (tmp_path / "m.onnx").read_bytes() == client.get(f"{JOBS}/{last(client)}/model").content
            refused = remote_send(site_csv(seed=2, noise=1000))
            assert refused.returncode == 2
            assert "refused: threshold" in " ".join(refused.stderr.split()) or "accuracy" in refused.stderr
            assert client.get(f"{JOBS}/{last(client)}/model").status_code == 409


def last(client: httpx.Client) -> str:
    return client.get(JOBS).json()["jobs"][0]["job_id"]
