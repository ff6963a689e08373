"""A plant whose ledger and whose Prefect lie in PostgreSQL: `make test-postgres`."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from data.feature_store import FeatureStore
from data.synthetic import write_line
from deployments.line import open_ledger
from deployments.settings import Settings
from learning.search.running import run_search
from tests.learning.search.searches import Bowl, make_search
from tests.operations.conftest import PIPELINE
from tests.operations.plant import Plant, bring_up, free_port, lehr, until

pytestmark = [pytest.mark.operations, pytest.mark.timeout(900)]


def tool(name: str) -> str:
    """One of PostgreSQL's programs, which Debian keeps out of the path."""
    found = [*filter(None, [shutil.which(name)]), *map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]
    if not found:
        pytest.skip(f"PostgreSQL's {name} is not installed (on Debian: apt install postgresql)")
    return found[-1]


@pytest.fixture
def postgres() -> Iterator[str]:
    """A cluster of its own with two databases; its address without a scheme."""
    if missing := [name for name in ("psycopg", "asyncpg") if importlib.util.find_spec(name) is None]:
        pytest.skip(f"{' and '.join(missing)} not installed: pip install 'lehr[postgres]'")
    initdb, control, psql = tool("initdb"), tool("pg_ctl"), tool("psql")
    # PostgreSQL refuses to run as root, and its own user may not look into pytest's folders.
    other = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as folder:
        if other:
            shutil.chown(folder, "postgres")
        data, port = f"{folder}/data", free_port()
        subprocess.run([*other, initdb, "-D", data, "-U", "lehr", "--auth=trust", "-E", "UTF8"], check=True)
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        subprocess.run([*other, control, "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start"], check=True)
        try:
            reach = ["-h", "127.0.0.1", "-p", str(port), "-U", "lehr", "-d", "postgres"]
            for name in ("lehr", "prefect"):
                subprocess.run([psql, *reach, "-c", f"create database {name}_db"], check=True)
            yield f"lehr@127.0.0.1:{port}"
        finally:
            subprocess.run([*other, control, "-D", data, "-m", "immediate", "stop"], check=True)


def test_a_plant_on_postgresql(postgres: str, tmp_path: Path) -> None:
    pipeline, ledger_url = tmp_path / "line.yaml", f"postgresql+psycopg://{postgres}/lehr_db"
    pipeline.write_text(PIPELINE)
    batches = write_line(tmp_path / "batches", batches=6, rows=400)
    urls = {
        "LEHR_DATABASE_URL": ledger_url,
        "LEHR_PREFECT_DATABASE_URL": f"postgresql+asyncpg://{postgres}/prefect_db",
    }
    with bring_up(tmp_path, pipeline, **urls) as plant:
        assert run(plant, batches[0], "learn-continuously") == "COMPLETED"
        assert run(plant, batches[1], "learn-continuously") == "COMPLETED"
        assert run(plant, batches[4], "watch-drift") == "COMPLETED"
        retrain = until(lambda: next(iter(plant.runs_of("retrain")), None))
        assert plant.ended(retrain["id"])["state_type"] == "COMPLETED"
    assert not (tmp_path / "home" / "ledger.db").exists()
    assert not (tmp_path / "home" / "prefect" / "prefect.db").exists()
    ledger = open_ledger(Settings(home=tmp_path / "home", database_url=ledger_url))
    assert sorted(ledger.outcomes("line", "finish")) == [1, 2, 3]
    assert ledger.champion("line") is not None
    assert FeatureStore(tmp_path / "home" / "line" / "store").read()["lehr_batch"].n_unique() == 3
    assert "hashes are as recorded" in lehr("verify", "--home", str(tmp_path / "home"), **urls)


def run(plant: Plant, batch: Path, flow: str) -> str:
    """Let a batch wait and have it taken; how that ended."""
    plant.drop(batch)
    return plant.ended(plant.start(flow))["state_type"]


def test_a_study_is_shared_by_processes_and_kept(postgres: str, tmp_path: Path) -> None:
    place, bowl = f"postgresql+psycopg://{postgres}/lehr_db", Bowl(tmp_path / "calls", 0.02)
    search = replace(make_search(tmp_path, 12, "tpe"), place=place)
    trials = run_search(search, bowl, workers=2)
    assert len(trials) == len({trial.key for trial in trials}) == bowl.calls == 12
    assert run_search(search, bowl) == trials
    assert bowl.calls == 12
