"""Load over raw sockets: the same request again and again, from one client or several, as cheaply as can be."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Request:
    """A POST to a server at a port, and how many samples it asks for."""

    port: int
    path: str
    body: bytes
    headers: dict[str, str]
    samples: int

    @property
    def wire(self) -> bytes:
        """As it is sent."""
        given = {"Host": f"127.0.0.1:{self.port}", "Content-Length": str(len(self.body)), **self.headers}
        lines = [f"POST {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
        return "\r\n".join(lines).encode() + self.body


@dataclass(frozen=True)
class Load:
    """What was measured: milliseconds of a request, and samples a second of all clients together."""

    p50_ms: float
    p99_ms: float
    samples_per_second: float
    failed: int


def load(request: Request, clients: int, seconds: float) -> Load:
    """Ask from so many connections for so long, each one request after another."""
    return measured([Connection(request).ask for _ in range(clients)], request.samples, seconds)


def measured(asks: list[Callable[[], bool]], samples: int, seconds: float) -> Load:
    """Do things over and over, a thread each; each says whether it went well and stands for so many samples."""
    times: list[list[float]] = [[] for _ in asks]
    failed: list[int] = [0 for _ in asks]
    ready = threading.Barrier(len(asks) + 1)

    def work(number: int, ask: Callable[[], bool]) -> None:
        for _ in range(5):
            ask()
        ready.wait()
        at = time.perf_counter()
        until = at + seconds
        while at < until:
            failed[number] += not ask()
            before, at = at, time.perf_counter()
            times[number].append(at - before)

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(asks)]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    joined = np.concatenate([np.array(mine) for mine in times])
    p50, p99 = (1000 * float(np.quantile(joined, q)) for q in (0.5, 0.99))
    return Load(p50, p99, samples * len(joined) / took, sum(failed))


class Connection:
    """One kept connection that asks the same again and again."""

    def __init__(self, request: Request) -> None:
        self._wire = request.wire
        self._socket = socket.create_connection(("127.0.0.1", request.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> bool:
        """Whether the answer is 200."""
        self._socket.sendall(self._wire)
        answer = b""
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._more()
        head = answer[:end].lower()
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        left = length - (len(answer) - end - 4)
        while left > 0:
            left -= len(self._more())
        return head.startswith(b"http/1.1 200")

    def _more(self) -> bytes:
        piece = self._socket.recv(1 << 20)
        assert piece, "the server closed the connection"
        return piece
