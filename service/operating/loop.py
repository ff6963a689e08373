"""The loop, as far as the service reaches it: its runs, through the REST API of the Prefect that `lehr up` starts."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from deployments.processes import running_process
from deployments.services import HOST
from service.problems import Problem

SECONDS = 10.0
"""How long Prefect may take for an answer."""
ATTEMPTS, PAUSE_SECONDS = 6, 0.5
"""At an answer of Prefect's SQLite that it is busy; nothing was done then."""


@dataclass(frozen=True)
class Run:
    """A run of one of a pipeline's flows.

    state: as Prefect names it, such as Running or AwaitingConcurrencySlot. until: when a paused one gives up waiting.
    """

    id: str
    flow: str
    kind: str
    state: str
    message: str | None
    parameters: dict[str, Any]
    expected: datetime | None
    started: datetime | None
    ended: datetime | None
    until: datetime | None

    @property
    def run_key(self) -> str:
        """The key that its request is journalled by, the first run's where this one follows a dead one."""
        return self.parameters.get("run_key") or self.id


class Loop:
    """Starts and answers runs, and looks at them; any number of threads may use it.

    api: Prefect's address; None: that of the `lehr up` of this home, on this port.
    Every method raises Problem 409 where the loop is not up, and 503 where it is but Prefect does not answer.
    """

    def __init__(self, home: Path, port: int, api: str | None) -> None:
        self._home, self._given = home, api is not None
        self._address = (api or f"http://{HOST}:{port}/api").rstrip("/")
        self._client = httpx.Client(base_url=self._address, timeout=SECONDS, trust_env=False)
        self._flows: dict[str, str] = {}

    def begin(self, flow: str, pipeline: str, parameters: dict[str, Any], key: str | None) -> Run:
        """Start a run of a flow; the same key again is the same run.

        Raises Problem 409 where the flow is not deployed for this pipeline, and 422 for parameters that it refuses.
        """
        chosen = {"flows": {"name": {"any_": [flow]}}, "deployments": {"name": {"any_": [pipeline]}}}
        deployed = self._call("POST", "/deployments/filter", {**chosen, "limit": 1})
        if not deployed:
            raise Problem(409, f"Prefect has no deployment {flow} of {pipeline}: lehr up it with its pipeline file")
        asked = {"parameters": parameters, "idempotency_key": key, "state": {"type": "SCHEDULED"}}
        return self._run(self._call("POST", f"/deployments/{deployed[0]['id']}/create_flow_run", asked))

    def runs(self, pipeline: str, flows: Sequence[str], until: datetime, limit: int = 100) -> list[Run]:
        """The runs of some of its flows that were due by a moment, the latest first."""
        chosen = {"flows": {"name": {"any_": [*flows]}}, "deployments": {"name": {"any_": [pipeline]}}}
        due = {"flow_runs": {"expected_start_time": {"before_": until.isoformat()}}}
        body = {**chosen, **due, "sort": "EXPECTED_START_TIME_DESC", "limit": limit}
        return [self._run(found) for found in self._call("POST", "/flow_runs/filter", body)]

    def paused(self, pipeline: str) -> list[Run]:
        """The runs that wait for a person's answer, the longest waiting first."""
        chosen = {"deployments": {"name": {"any_": [pipeline]}}, "flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}}
        body = {**chosen, "sort": "EXPECTED_START_TIME_ASC", "limit": 100}
        return [self._run(found) for found in self._call("POST", "/flow_runs/filter", body)]

    def answer(self, run_id: str, given: dict[str, Any]) -> None:
        """Let a paused run go on with what a person filled into its form; raises Problem 409 where it takes it not."""
        result = self._call("POST", f"/flow_runs/{run_id}/resume", {"run_input": given})
        if result["status"] != "ACCEPT":
            raise Problem(409, f"the run takes no answer: {result['details'].get('reason') or result['status']}")

    def progress(self, runs: Sequence[Run]) -> dict[str, float]:
        """The share of its training in per cent that each run shows, by its id; some show none."""
        if not runs:
            return {}
        chosen = {"flow_run_id": {"any_": [run.id for run in runs]}, "type": {"any_": ["progress"]}}
        newest_first = self._call("POST", "/artifacts/filter", {"artifacts": chosen, "sort": "UPDATED_DESC"})
        return {artifact["flow_run_id"]: float(artifact["data"]) for artifact in reversed(newest_first)}

    def _run(self, found: dict[str, Any]) -> Run:
        state, flow_id = found["state"] or {}, found["flow_id"]
        if flow_id not in self._flows:
            self._flows[flow_id] = self._call("GET", f"/flows/{flow_id}")["name"]
        return Run(
            id=found["id"],
            flow=self._flows[flow_id],
            kind=(found["state_type"] or "PENDING").lower(),
            state=found["state_name"] or "Pending",
            message=state.get("message"),
            parameters=found["parameters"],
            expected=found["expected_start_time"] and datetime.fromisoformat(found["expected_start_time"]),
            started=found["start_time"] and datetime.fromisoformat(found["start_time"]),
            ended=found["end_time"] and datetime.fromisoformat(found["end_time"]),
            until=_pause_ends(state),
        )

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        if not self._given and running_process(self._home) is None:
            raise Problem(409, "the loop is not up for this home: start it with lehr up and the pipeline's file")
        answer = self._ask(method, path, body)
        for _ in range(ATTEMPTS):
            if answer.status_code != 503:
                break
            time.sleep(PAUSE_SECONDS)
            answer = self._ask(method, path, body)
        if answer.is_success:
            return answer.json()
        said = f"Prefect at {self._address} answered {answer.status_code}"
        if answer.status_code in (409, 422):
            raise Problem(422, f"{said}: {answer.text}")
        raise Problem(503, said)

    def _ask(self, method: str, path: str, body: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, json=body)
        except httpx.TimeoutException:
            raise Problem(503, f"Prefect at {self._address} took longer than {SECONDS:g} seconds") from None
        except httpx.TransportError:
            raise Problem(503, f"nothing answers at {self._address}, where Prefect should: lehr up starts it") from None


def _pause_ends(state: dict[str, Any]) -> datetime | None:
    ends = (state.get("state_details") or {}).get("pause_timeout")
    return datetime.fromisoformat(ends) if ends and state.get("type") == "PAUSED" else None
