"""The coordinator as Flower's server app: Flower brings what it asks to the nodes, and it knows nothing of Flower.

Its run configuration names the job, a YAML file of what `POST /api/v1/federations` takes, and a folder for the result.
"""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, sleep

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

from data.documents import load_document
from data.files import write_whole
from deployments.federation_files import save_model
from deployments.federation_job import JobConfig
from learning.federation.coordinator import Coordinator
from learning.federation.run import Answers, run_federation

POLL_SECONDS = 0.2
app = ServerApp()


@app.main()
def coordinate(grid: Grid, context: Context) -> None:
    """Run one federation to its end."""
    job = load_document(JobConfig, Path(str(context.run_config["job"])), "job file")
    name = f"{job.name}-{secrets.token_hex(4)}"
    coordinator = Coordinator(name, job.nodes, job.model, job.training, job.federation, secrets.token_bytes(32))
    nodes = Nodes(grid, job.nodes, job.federation.deadline_seconds)
    model = run_federation(coordinator, nodes.ask)
    folder = Path(str(context.run_config["folder"]))
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "model.bin", save_model(model))
    write_whole(folder / "report.json", json.dumps(model.to_dict(), indent=2, allow_nan=False).encode() + b"\n")


class Nodes:
    """The nodes of a federation behind Flower's grid, found by the names that their supernodes were given.

    Raises ValueError where one is not there within so many seconds.
    """

    def __init__(self, grid: Grid, names: list[str], seconds: float) -> None:
        self._grid, self._seconds, self._ids = grid, seconds, dict[str, int]()
        until = monotonic() + seconds
        while missing := sorted({*names} - {*self._ids}):
            if monotonic() > until:
                raise ValueError(f"there is no supernode of the name {', '.join(missing)}")
            new = {number for number in grid.get_node_ids() if number not in self._ids.values()}
            told = self._send("query.name", dict.fromkeys(new, b""))
            self._ids |= {content.decode(): number for number, content in told.items()}
            sleep(POLL_SECONDS)

    def ask(self, kind: str, round_number: int, questions: Mapping[str, bytes]) -> Answers:
        """What nodes answer within the time of a phase."""
        told = self._send("query.answer", {self._ids[name]: question for name, question in questions.items()})
        return {name: told[self._ids[name]] for name in questions if self._ids[name] in told}

    def _send(self, kind: str, contents: Mapping[int, bytes]) -> dict[int, bytes]:
        messages = [
            Message(RecordDict({"lehr": ConfigRecord({"content": content})}), number, kind)
            for number, content in contents.items()
        ]
        waiting, until = {*self._grid.push_messages(messages)}, monotonic() + self._seconds
        told: dict[int, bytes] = {}
        while waiting and monotonic() < until:
            for reply in self._grid.pull_messages(waiting):
                waiting.discard(reply.metadata.reply_to_message_id)
                if reply.has_content():
                    told[reply.metadata.src_node_id] = bytes(reply.content["lehr"]["content"])
            sleep(POLL_SECONDS)
        return told
