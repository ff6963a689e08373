"""A node between machines: it asks the coordinator's service, answers, and keeps what it needs to go on.

Every answer is on its disk before it is sent, so a node that was stopped sends the same one again.
"""

import ssl
from collections.abc import Callable
from pathlib import Path

import httpx

from data.files import write_whole
from deployments.federation_files import exported, packed_for
from deployments.node_file import NodeFile
from learning.federation.messages import decode
from learning.federation.node import Node
from learning.federation.node_state import load_node, save_node
from learning.federation.results import FederatedModel
from learning.federation.sources import NodeData, node_data

POLL_SECONDS = 1.0
PATIENCE_SECONDS = 3600.0
ANSWER_SECONDS = 120.0
_JOURNAL, _MODEL = "node.bin", "model.onnx"

Sleep = Callable[[float], None]


def open_client(url: str, token: str, ca: Path | None = None) -> httpx.Client:
    """A client of the service. ca: certificates to trust besides those of the system; they are always checked.

    Raises ValueError for a URL that is none, and for certificates that cannot be read.
    """
    if httpx.URL(url).scheme not in ("http", "https") or not httpx.URL(url).host:
        raise ValueError(f"{url!r} is no URL of a service, such as https://plant.example:8000")
    try:
        context = ssl.create_default_context()
        if ca is not None:
            context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"{ca} holds no certificates: {error}") from None
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, verify=context, timeout=ANSWER_SECONDS, trust_env=False)


class NodeProcess:
    """Takes part until the federation is over. folder: its journal and, at the end, its model.

    sleep, clock: seconds. Raises ValueError where the service refuses it, or is away for longer than `patience`.
    """

    def __init__(
        self,
        file: NodeFile,
        base: Path,
        client: httpx.Client,
        folder: Path,
        sleep: Sleep,
        clock: Callable[[], float],
        say: Callable[[str], None],
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._file, self._client, self._folder = file, client, folder
        self._sleep, self._clock, self._say, self._patience = sleep, clock, say, patience
        self._data: NodeData = node_data(base / file.source, file.data, file.task)
        self._node: Node | None = None

    def run(self) -> Path | None:
        """Where the node's model lies; None where the federation ended without one."""
        while self.step():
            pass
        return self._finish()

    def step(self) -> bool:
        """Answer what is asked now; False once the federation is over."""
        path = f"/api/v1/federations/{self._file.federation}"
        asked = self._call("GET", f"{path}/question")
        if asked.status_code == 204:
            self._sleep(POLL_SECONDS)
        if asked.status_code == 200:
            told = self._call("POST", f"{path}/answers", self._answer(asked.content))
            if told.status_code == 409:
                self._say(f"refused: {_reason(told)}")
                self._sleep(POLL_SECONDS)
        return asked.status_code != 410

    def _answer(self, question: bytes) -> bytes:
        """What the node says to it, from its journal where it has said it before."""
        asked = decode(question)
        node = self._node or self._reopened(asked.node, asked.federation)
        if self._node is None or asked.kind == "join":
            self._say(f"{asked.node} takes part in {self._file.federation}")
        self._node = node
        answer = node.answer(question)
        write_whole(self._folder / _JOURNAL, save_node(node))
        self._say(f"round {asked.round}: {asked.kind}")
        return answer

    def _reopened(self, name: str, federation: str) -> Node:
        """The node as it was stopped; a new one for another federation."""
        journal = self._folder / _JOURNAL
        if journal.exists():
            node = load_node(name, self._data, journal.read_bytes())
            if all(key.startswith(f"{federation} ") for key in node.answered):
                return node
        return Node(name, self._data)

    def _finish(self) -> Path | None:
        node = self._node
        if node is None and (self._folder / _JOURNAL).exists():
            node = load_node("", self._data, (self._folder / _JOURNAL).read_bytes())
        if node is None or not node.finished:
            self._say("the federation is over, without a model of this node")
            return None
        model = FederatedModel(node.plan, node.network, (), (), (), (), {})
        if self._data.table is not None:
            onnx = packed_for(node, model, self._file.data, self._file.federation)
        else:
            onnx = exported(node.network, node.plan.length, {}, node.plan.federation.seed)
        write_whole(self._folder / _MODEL, onnx)
        return self._folder / _MODEL

    def _call(self, method: str, path: str, content: bytes | None = None) -> httpx.Response:
        """An answer of the service, which may be away for a while."""
        began, wait = self._clock(), POLL_SECONDS
        while True:
            try:
                answer = self._client.request(method, path, content=content)
                if answer.status_code < 500 and answer.status_code not in (408, 429):
                    break
                problem = f"{answer.status_code}: {_reason(answer)}"
            except httpx.TransportError as error:
                if "CERTIFICATE" in str(error):
                    raise ValueError(f"the service's certificate is not to be trusted: {error}") from None
                problem = f"{type(error).__name__}: {error}"
            if self._clock() - began > self._patience:
                raise ValueError(f"the service was away for {self._patience:g} seconds: {problem}") from None
            self._sleep(wait)
            wait = min(2 * wait, 30.0)
        if answer.status_code in (401, 403, 404, 413, 422):
            raise ValueError(f"the service refuses: {_reason(answer)}")
        return answer


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"
