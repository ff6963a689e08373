"""What `lehr up` starts on one machine: Prefect's server, MLflow's pages and the pipelines' deployments.

All listen on 127.0.0.1, and nothing is sent to the outside.
"""

import json
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deployments.settings import Settings

HOST = "127.0.0.1"
RUNNER = "deployments"
"""The service that registers the deployments and starts their runs."""
WAIT_SECONDS = 600
"""How long a run waits for another that is at work on the same pipeline."""


@dataclass(frozen=True)
class Service:
    """A process to start, and how to see that it is ready.

    environment: on top of this process's own. address: what people open; None: nothing. ready: whether it answers.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    address: str | None
    ready: Callable[[], bool]


def services_of(settings: Settings, pipelines: Sequence[Path], deployments: int) -> list[Service]:
    """The services in the order in which they are started.

    deployments: how many are to be served; the runner is ready once all are registered.
    """
    prefect, mlflow = f"http://{HOST}:{settings.prefect_port}", f"http://{HOST}:{settings.mlflow_port}"
    common = quiet_environment(settings)
    server = [
        sys.executable,
        "-m",
        "deployments.prefect_server",
        "server",
        "start",
        "--host",
        HOST,
        "--port",
        str(settings.prefect_port),
    ]
    ui = ["--backend-store-uri", settings.tracking_uri, "--host", HOST, "--port", str(settings.mlflow_port)]
    runner = [sys.executable, "-m", "deployments.serving", *(str(path.resolve()) for path in pipelines)]
    return [
        Service("Prefect", tuple(server), common, prefect, lambda: _answers(f"{prefect}/api/health")),
        Service(
            "MLflow",
            (sys.executable, "-m", "mlflow", "server", "--workers", "1", *ui),
            common,
            mlflow,
            lambda: _answers(f"{mlflow}/health"),
        ),
        Service(RUNNER, tuple(runner), common, None, lambda: _registered(f"{prefect}/api") >= deployments),
    ]


def quiet_environment(settings: Settings) -> dict[str, str]:
    """What the processes need to find each other under lehr's home, and to be silent to the outside."""
    api = f"http://{HOST}:{settings.prefect_port}/api"
    environment = {
        "LEHR_HOME": str(settings.home.resolve()),
        "LEHR_WAIT_SECONDS": str(settings.wait_seconds or WAIT_SECONDS),
        "LEHR_MLFLOW_PAGES": f"http://{HOST}:{settings.mlflow_port}",
        "PREFECT_HOME": str((settings.home / "prefect").resolve()),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_UI_API_URL": api,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "GX_ANALYTICS_ENABLED": "false",
        "ORT_DISABLE_TELEMETRY": "1",
    }
    if settings.prefect_database_url is not None:
        environment["PREFECT_API_DATABASE_CONNECTION_URL"] = settings.prefect_database_url
    return environment


def refuse_taken_ports(settings: Settings) -> None:
    """Raise ValueError that names the first port which another program listens on, and how to choose another."""
    for name, port in (("PREFECT", settings.prefect_port), ("MLFLOW", settings.mlflow_port)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                raise ValueError(
                    f"port {port} is taken by another program; choose another with LEHR_{name}_PORT"
                ) from None


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _registered(api: str) -> int:
    """How many deployments Prefect knows."""
    request = urllib.request.Request(
        f"{api}/deployments/count", method="POST", data=b"{}", headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(json.loads(answer.read()))
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return 0
