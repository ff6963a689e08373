"""One retraining job from its files to its end: trained in a child of little reach, then judged by a flow.

Until it is judged nothing of its pipeline is touched, so training may be ended at any moment. Every step of judging is
journalled: what is interrupted there is begun again and goes on after the last of them.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data.ledger import Ledger
from data.training_runs import TrainingRun, TrainingRuns
from deployments.job_training import Outcome
from deployments.processes import running_process
from deployments.services import quiet_environment
from deployments.settings import SERVER_SECONDS, Settings
from service.retraining import job_files
from service.retraining.children import Ended, run_child
from service.retraining.isolation import Limits, explain, inside_bwrap, plain_environment
from service.retraining.job_config import JobConfig, pipeline_file
from service.retraining.job_progress import Follower
from service.retraining.job_states import is_stage
from service.settings import ServiceSettings
from service.training.trainings import environment_of

MOST_ATTEMPTS = 3
"""At training, where other batches came to the pipeline meanwhile; at judging, where the flow died."""
CANCELLED = "somebody ended it before it was judged"


@dataclass(frozen=True)
class Workplace:
    """Where jobs are done, and by what means; bwrap: whether it works here."""

    settings: Settings
    service: ServiceSettings
    runs: TrainingRuns
    ledger: Ledger
    served: Mapping[str, Path]
    bwrap: bool = False

    @property
    def isolation(self) -> str:
        """What a training is kept in; raises ValueError where bwrap is asked for and does not work."""
        asked = self.service.job_isolation
        if self.service.job_deployment is not None:
            return f"work pool: {self.service.job_deployment}"
        if asked == "bwrap" and not self.bwrap:
            raise ValueError("LEHR_SERVE_JOB_ISOLATION asks for bwrap, which is not there or may not do its work here")
        return "bwrap" if self.bwrap and asked != "limits" else "limits"


class JobWork:
    """The work on one job."""

    def __init__(self, place: Workplace, run: TrainingRun) -> None:
        self._place, self._run = place, run
        self._job = JobConfig.model_validate(run.config)
        self._folder = job_files.folder_of(place.settings, self._job)
        self._follower = Follower(place.runs, run.id, self._folder.progress)

    async def do(self) -> None:
        """Train and judge, and write down what came of it."""
        await asyncio.to_thread(self._begin)
        for _ in range(MOST_ATTEMPTS):
            if not await self._train():
                return
            result = await self._judge()
            if result["state"] != "outdated":
                await asyncio.to_thread(self._note_verdict, result)
                return
            await asyncio.to_thread(self._start_over)
        await asyncio.to_thread(
            self.end, "failed", f"other batches came to the pipeline during each of {MOST_ATTEMPTS} trainings"
        )

    def end(self, state: str, reason: str | None) -> None:
        """Nothing more happens in the job; its files go where somebody wished it away."""
        self._place.runs.change_state(self._run.id, state, reason)
        if not self._wanted():
            job_files.remove(self._folder)

    def _begin(self) -> None:
        if self._run.state == "pending":
            self._place.runs.change_state(self._run.id, "running")
        events = self._place.runs.events(self._run.id)
        told = {"by": self._place.isolation}
        if told not in [event.payload for event in events if event.kind == "isolation"]:
            self._place.runs.append(self._run.id, "isolation", told)

    def _start_over(self) -> None:
        (self._folder.path / "judged.json").unlink()
        (self._folder.work / "outcome.json").unlink()

    def _wanted(self) -> bool:
        return self._place.runs.desired(self._run.id) != "cancel"

    def _may_train(self) -> bool:
        """What is being judged is judged, whatever is wished."""
        stages = [event for event in self._place.runs.events(self._run.id) if event.kind == "stage"]
        return self._wanted() or (bool(stages) and is_stage(stages[-1], "judging"))

    async def _train(self) -> bool:
        """Whether there is a candidate; where there is none, the job is over."""
        if not await asyncio.to_thread(self._may_train):
            await asyncio.to_thread(self.end, "cancelled", CANCELLED)
            return False
        outcome = await asyncio.to_thread(self._folder.outcome)
        if outcome is None:
            ended = await self._run_training()
            await asyncio.to_thread(self._follower.read_on)
            outcome = await asyncio.to_thread(self._folder.outcome)
            if ended.why == "asked":
                await asyncio.to_thread(self.end, "cancelled", CANCELLED)
                return False
            if ended.why == "overdue" or ended.status != 0 or outcome is None:
                await asyncio.to_thread(self.end, "failed", self._why(ended))
                return False
        return await asyncio.to_thread(self._note_outcome, outcome)

    async def _run_training(self) -> Ended:
        place, folder = self._place, self._folder
        pipeline = await asyncio.to_thread(pipeline_file, place.settings, place.served, self._job)
        await asyncio.to_thread(job_files.prepare, place.settings, place.ledger, self._job, pipeline)
        command, environment = self._training()

        def wanted() -> bool:
            self._follower.read_on()
            return self._wanted()

        log, softly = folder.path / "training.log", place.service.job_deployment is not None
        return await run_child(command, environment, log, place.service.job_seconds, wanted, softly)

    def _training(self) -> tuple[list[str], dict[str, str]]:
        """The command that trains, and its environment."""
        place, folder = self._place, self._folder
        resolved = replace(folder, path=folder.path.resolve())
        if place.service.job_deployment is not None:
            near, number = folder.path.relative_to(place.settings.home), folder.lesson().number
            words = [place.service.job_deployment, str(near), f"{self._run.id} {number}"]
            return [sys.executable, "-m", "deployments.submitting", *words], self._trusted()
        boxed, limits = place.isolation == "bwrap", Limits.of(place.service)
        parent = "0" if boxed else str(os.getpid())
        command = [
            sys.executable,
            "-m",
            "service.retraining.job_process",
            str(resolved.path),
            parent,
            *limits.arguments(),
        ]
        boxed_command = inside_bwrap(command, resolved.given, resolved.work) if boxed else command
        return boxed_command, plain_environment(resolved.work)

    def _why(self, ended: Ended) -> str:
        log, service = self._folder.path / "training.log", self._place.service
        if ended.why == "overdue":
            return f"it took longer than {service.job_seconds:,.0f} seconds"
        return explain(ended.status, log, Limits.of(service))

    def _note_outcome(self, outcome: Outcome) -> bool:
        if outcome.reason is not None:
            self.end("failed", outcome.reason)
            return False
        events = self._place.runs.events(self._run.id)
        if not any(event.kind == "outcome" for event in events):
            self._place.runs.append(self._run.id, "outcome", outcome.model_dump())
        return True

    async def _judge(self) -> dict[str, Any]:
        """What the gate says. A flow that died without saying anything goes on after its last step, a few times."""
        await asyncio.to_thread(self._follower.tell_stage, "judging")
        said = "nothing"
        for _ in range(MOST_ATTEMPTS):
            result = await asyncio.to_thread(job_files.judged, self._folder)
            if result is not None:
                return result
            said = await self._run_judging()
        result = await asyncio.to_thread(job_files.judged, self._folder)
        return result or {"state": "failed", "reason": f"its candidate could not be judged: {said}"}

    async def _run_judging(self) -> str:
        """Run the flow; why it ended, should it not have said what came of it."""
        place, log = self._place, self._folder.path / "judging.log"
        pipeline = await asyncio.to_thread(pipeline_file, place.settings, place.served, self._job)
        words = [str(path.resolve()) for path in (pipeline, self._folder.path)]
        command = [sys.executable, "-m", "flows.judge_job", *words, self._run.id]
        ended = await run_child(command, self._trusted(), log, place.service.job_seconds, lambda: True)
        return "it took too long" if ended.why is not None else explain(ended.status, log, Limits.of(place.service))

    def _note_verdict(self, result: Mapping[str, Any]) -> None:
        if result["state"] == "failed":
            self.end("failed", result["reason"])
            return
        events = self._place.runs.events(self._run.id)
        if result.get("version") is not None and not any(event.kind == "version" for event in events):
            self._place.runs.append(self._run.id, "version", {"version": result["version"]})
        self._follower.tell_stage(result["state"], result["reason"])
        self.end("completed", result["reason"])

    def _trusted(self) -> dict[str, str]:
        """A flow's environment: with the server that `lehr up` has started, if it has."""
        settings = self._place.settings
        quiet = quiet_environment(settings)
        if running_process(settings.home) is None:
            for name in ("PREFECT_API_URL", "PREFECT_SERVER_UI_API_URL", "LEHR_MLFLOW_PAGES"):
                quiet.pop(name)
        quiet["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = str(SERVER_SECONDS)
        quiet["LEHR_WAIT_SECONDS"] = str(self._place.service.job_seconds)  # for the loop that is at work there
        return {**environment_of(settings), **quiet}
