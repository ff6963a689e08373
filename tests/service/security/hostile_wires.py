"""What no client library would send, as bytes for a socket, and what the answer must be; `{token}` is filled in."""

from collections.abc import Iterator
from dataclasses import dataclass

INFER = "/v2/models/line/infer"
LIVE = "/v2/health/live"


@dataclass(frozen=True)
class Raw:
    """Bytes for a socket; statuses of the first answer, 0: the connection is closed without one."""

    sent: bytes
    status: tuple[int, ...]
    said: str = ""


def request(method: str, path: str, *lines: str, host: str = "localhost", body: bytes = b"") -> bytes:
    head = [f"{method} {path} HTTP/1.1", *([f"Host: {host}"] if host else []), "Authorization: Bearer {token}", *lines]
    return "\r\n".join([*head, "", ""]).encode() + body


def hosts() -> Iterator[tuple[str, Raw]]:
    """Names of other services, or none."""
    yield "no host", Raw(request("GET", LIVE, host=""), (400,))
    for what, host in {
        "foreign": "evil.example",
        "with a user": "localhost@evil",
        "no port": "localhost:x",
        "two": "localhost, evil",
        "with a path": "localhost/evil",
        "NUL": "local\0host",
    }.items():
        yield f"host {what}", Raw(request("GET", LIVE, host=host), (400,))
    yield "two hosts", Raw(request("GET", LIVE, "Host: evil.example"), (400,))


def targets() -> Iterator[tuple[str, Raw]]:
    """Targets, methods and protocols that are not served."""
    yield "absolute target", Raw(request("GET", "http://evil.example/v2/health/live", host="evil.example"), (400,))
    yield "connect", Raw(request("CONNECT", "evil.example:443"), (400, 404, 405))
    yield "options of all", Raw(request("OPTIONS", "*"), (400, 404, 405))
    yield "trace", Raw(request("TRACE", LIVE), (405,))
    yield "a method of its own", Raw(request("PWN", LIVE), (400, 405))
    yield "version 9", Raw(request("GET", LIVE).replace(b"HTTP/1.1", b"HTTP/9.9"), (400,))
    yield "no version", Raw(b"GET /v2/health/live\r\n\r\n", (400, 0))
    yield "TLS", Raw(bytes.fromhex("160301020001000200") + bytes(100), (400,))
    yield "HTTP/2", Raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400,))
    yield "noise", Raw(bytes(range(256)) * 4, (400,))
    yield (
        "a websocket",
        Raw(
            request(
                "GET",
                LIVE,
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: x",
            ),
            (200, 400, 426),
        ),
    )


def lengths() -> Iterator[tuple[str, Raw]]:
    """Lengths that lie."""
    post, infer = ("POST", LIVE), ("POST", INFER)
    yield "a length below", Raw(request(*post, "Content-Length: -5"), (400,))
    yield "a length with a sign", Raw(request(*post, "Content-Length: +5", body=b"12345"), (400,))
    yield "a length in hexadecimal", Raw(request(*post, "Content-Length: 0x5", body=b"12345"), (400,))
    yield "two lengths", Raw(request(*post, "Content-Length: 5", "Content-Length: 6", body=b"12345"), (400,))
    yield "two lengths in one", Raw(request(*post, "Content-Length: 5, 6", body=b"12345"), (400,))
    yield "a length beyond", Raw(request(*infer, "Content-Length: 99999999999"), (413,))
    yield "a length of 40 digits", Raw(request(*infer, "Content-Length: " + "9" * 40), (400, 413))
    yield "a length that is not kept", Raw(request(*infer, "Content-Length: 1000", body=b"{}"), (408,))
    yield (
        "length and pieces",
        Raw(request(*infer, "Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), (400,)),
    )
    yield "pieces, and something else", Raw(request(*infer, "Transfer-Encoding: chunked, x", body=b"0\r\n\r\n"), (400,))
    yield (
        "a request in a body",
        Raw(request(*infer, "Content-Length: 0", body=request("GET", "/x", host="evil")), (400,)),
    )


def pieces() -> Iterator[tuple[str, Raw]]:
    """Bodies in pieces that do not fit."""
    chunked = ("POST", INFER, "Transfer-Encoding: chunked")
    yield "a piece beyond", Raw(request(*chunked, body=b"FFFFFFFFFFFFFFFFF\r\n"), (400,))
    yield "a piece below", Raw(request(*chunked, body=b"-1\r\nx\r\n0\r\n\r\n"), (400,))
    yield "a piece that is longer than it says", Raw(request(*chunked, body=b"1\r\nxxxxx\r\n0\r\n\r\n"), (400,))
    yield "a piece that never comes", Raw(request(*chunked, body=b"5\r\nx"), (408,))
    yield "pieces without an end", Raw(request(*chunked, body=b"1000\r\n" + b"x" * 4096 + b"\r\n"), (408,))
    yield "pieces beyond the limit", Raw(request(*chunked, body=(b"10000\r\n" + b"x" * 65536 + b"\r\n") * 20), (413,))
    yield "fields behind pieces", Raw(request(*chunked, body=b"0\r\n" + b"X: y\r\n" * 40_000 + b"\r\n"), (400,))


def heads() -> Iterator[tuple[str, Raw]]:
    """Heads without an end or a form."""
    yield "a head too large", Raw(b"GET /v2/health/live HTTP/1.1\r\nX: " + b"y" * 400_000, (431,))
    yield "too many fields", Raw(request("GET", LIVE, *[f"X-{i}: y" for i in range(20_000)]), (400, 431))
    yield "a target too large", Raw(b"GET /" + b"x" * 400_000, (431,))
    yield "a head that never ends", Raw(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nX: ", (408,))
    yield "silence", Raw(b"", (408,))
    yield "a name with a space", Raw(request("GET", LIVE, "X Y: 1"), (400,))
    yield "a folded field", Raw(request("GET", LIVE, "X: 1\r\n Authorization: Bearer y"), (400, 200))
    yield "a bare line feed", Raw(request("GET", LIVE).replace(b"\r\n", b"\n"), (400, 200))
    yield "NUL in a field", Raw(request("GET", LIVE, "X: a\0b"), (400,))
    yield "a token with a line break", Raw(request("GET", LIVE).replace(b"{token}", b"x\rY: 1"), (400, 401))
    yield "a token too long", Raw(request("GET", LIVE).replace(b"{token}", b"y" * 30_000), (401,))
    yield "no token", Raw(request("GET", LIVE).replace(b"Bearer {token}", b"Basic eDp5"), (401,))


def wires() -> Iterator[tuple[str, Raw]]:
    """All of them."""
    for group in (hosts, targets, lengths, pieces, heads):
        yield from group()
