"""What `lehr up` leans on in Prefect, and that a fork knows what it needs."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

from prefect.runner import runner
from prefect.runner._starter_engine import EngineCommandStarter

from deployments.forking import process_name

ROOT = Path(__file__).parents[2]
FORK = """
import multiprocessing, sys
from multiprocessing import forkserver
def tell():
    print(all(name in sys.modules for name in %r), len(__import__("threading").enumerate()))
if __name__ == "__main__":
    from deployments.forking import _context, fork_runs
    fork_runs()
    process = _context.Process(target=tell)
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""


def test_prefect_starts_runs_by_the_class_that_is_replaced() -> None:
    assert runner.EngineCommandStarter is EngineCommandStarter
    source = inspect.getsource(runner.Runner.__aenter__)
    assert "return EngineCommandStarter(" in source
    given = inspect.signature(EngineCommandStarter).parameters
    assert {"deployment_name", "heartbeat_seconds", "control_channel"} <= set(given)


def test_a_process_is_named_by_what_tells_runs_apart() -> None:
    first, second = "01a1fea1-26ea-7cf1-bfe8-2575d81a7c59", "01a1fea1-26ea-7cf1-bfe8-2575d81a7c5a"
    assert process_name(first) != process_name(second)
    assert len(process_name(first)) == 15


def test_a_fork_has_everything_and_no_thread_but_its_own(tmp_path: Path) -> None:
    wanted = [
        "prefect.engine",
        "torch._dynamo",
        "torch.onnx",
        "mlflow.onnx",
        "great_expectations",
        "flows.learn_continuously",
    ]
    script = tmp_path / "fork.py"
    script.write_text(FORK % wanted)
    command = [sys.executable, "-W", "ignore", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PREFECT_HOME": str(tmp_path)}
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert (told.returncode, told.stdout.split()) == (0, ["True", "1"]), told.stderr
