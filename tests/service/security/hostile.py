"""Requests that nobody means well with, as data: what is sent, and what the answer must say.

`{token}` in raw requests is filled in. To send the hostile files to one more route, add it to `FILE_ROUTES`.
"""

import gzip
import io
import json
import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from tests.service.security.hostile_wires import INFER, Raw, request, wires

FILE_ROUTES = ("/api/v1/files?name={name}", "/api/v1/pipelines/line/batches?filename={name}")
JOBS = "/api/v1/retraining/jobs"
START = "/api/v1/epoch-training/start"


@dataclass(frozen=True)
class Http:
    """A request over an ordinary client, and the statuses that are right."""

    method: str
    path: str
    status: tuple[int, ...]
    said: str = ""
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    files: Any = None


class _Runs:
    """What a pickle would do."""

    def __reduce__(self) -> Any:
        import os

        return os.system, ("touch pwned",)


PICKLE = pickle.dumps(_Runs())
NAMES = {
    "parent": "../x.csv",
    "parents": "../../../../tmp/pwned.csv",
    "backslash": "..\\x.csv",
    "absolute": "/etc/x.csv",
    "nul": "x\0.csv",
    "nul behind": "x.csv\0.png",
    "hidden": ".x.csv",
    "long": "x" * 300 + ".csv",
    "folder": "a/b.csv",
    "line break": "x\r\nX-Evil: 1.csv",
    "right to left": "x\u202egnp.csv",
    "separator": "x\u2028.csv",
    "half a character": "x%ED%A0%80.csv",
    "model": "x.onnx",
    "pickle": "x.pkl",
    "two ends": "x.csv.exe",
    "none": "",
    "url": "file:///etc/passwd.csv",
    "drive": "C:\\x.csv",
    "bell": "x\a.csv",
    "space": " ",
    "dots": "..",
}


def names() -> Iterator[tuple[str, Http | Raw]]:
    """Names of files that are paths, tricks, or none."""
    from urllib.parse import quote

    for what, name in NAMES.items():
        for number, route in enumerate(FILE_ROUTES):
            written = name if "%" in name else quote(name, safe="")
            path = route.format(name=written)
            if what == "half a character":
                continue
            yield f"name {what} {number}", Http("POST", path, (422,), "name", b"heat,speed,quality\n1,2,good\n")


def forms() -> Iterator[tuple[str, Http | Raw]]:
    """Forms that lie about their parts."""
    table, path = b"a,b\n1,2\n", "/api/v1/files"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\na,b\n1,2\n\r\n--x--\r\n'
    yield (
        "2,000 parts",
        Http("POST", path, (400,), "Too many", files=[("file", (f"{i}.csv", table)) for i in range(2000)]),
    )
    fields = b"".join(b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n1\r\n' % i for i in range(2000))
    yield "2,000 fields", Http("POST", path, (400,), "Too many", fields + b"--x--\r\n", kind)
    yield "a part that is a path", Http("POST", path, (422,), "name", part % b"../../x.csv", kind)
    yield "a part with NUL", Http("POST", path, (422, 400), "", part % b"x\0.csv", kind)
    yield "a part with a line break", Http("POST", path, (422, 400), "", part % b"x\r\nX: 1.csv", kind)
    star = part.replace(b'filename="%s"', b"filename*=utf-8''..%%2f..%%2fx.csv") % ()
    yield "a part with an encoded path", Http("POST", path, (422, 400), "", star, kind)
    yield (
        "no part named file",
        Http("POST", path, (422,), "no file", (part % b"x.csv").replace(b'"file"', b'"f"'), kind),
    )
    yield "no boundary", Http("POST", path, (400,), "", part % b"x.csv", {"Content-Type": "multipart/form-data"})
    yield (
        "another boundary",
        Http("POST", path, (400, 422), "", part % b"x.csv", {"Content-Type": kind["Content-Type"] + "y"}),
    )
    yield "a form that never ends", Http("POST", path, (400, 422), "", (part % b"x.csv")[:-10], kind)
    huge = b"--x\r\nX: " + b"y" * 300_000 + b"\r\n" + (part % b"x.csv")[5:]
    yield "a part with a huge head", Http("POST", path, (400, 413), "", huge, kind)
    yield (
        "a file as a text field",
        Http(
            "POST",
            path,
            (422,),
            "no file",
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\na,b\n1,2\r\n--x--\r\n',
            kind,
        ),
    )


def parquet(frame: pl.DataFrame, **options: Any) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, **options)
    return buffer.getvalue()


def tables() -> dict[str, tuple[str, bytes, tuple[int, ...]]]:
    """Files that are bombs, broken, or something else: name, content, statuses."""
    whole = parquet(pl.DataFrame({"heat": [1.0], "quality": ["good"]}))
    bomb = gzip.compress(b"a,b\n" + b"1,2\n" * 6_000_000)
    return {
        "gzip bomb": ("x.csv.gz", bomb, (413,)),
        "gzip bomb of members": ("x.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 900_000) * 8, (413,)),
        "gzip in gzip": ("x.csv.gz", gzip.compress(bomb), (422,)),
        "gzip that ends": ("x.csv.gz", gzip.compress(b"a,b\n1,2\n")[:-9], (422,)),
        "gzip with junk behind": ("x.csv.gz", gzip.compress(b"a,b\n1,2\n") + b"junk", (422,)),
        "gzip of nothing": ("x.csv.gz", gzip.compress(b""), (422,)),
        "parquet bomb": ("x.parquet", parquet(pl.DataFrame({"a": pl.zeros(20_000_000, eager=True)})), (413,)),
        "parquet that ends": ("x.parquet", whole[: len(whole) // 2], (422,)),
        "parquet with a lying footer": ("x.parquet", whole[:-8] + struct.pack("<I", 2**31) + b"PAR1", (422,)),
        "parquet of nothing": ("x.parquet", b"PAR1PAR1", (422,)),
        "parquet of junk": ("x.parquet", b"PAR1" + b"\xff" * 4000 + b"PAR1", (422,)),
        "pickle as table": ("x.csv", PICKLE, (422,)),
        "pickle as parquet": ("x.parquet", PICKLE, (422,)),
        "zip as table": ("x.csv", b"PK\x03\x04" + bytes(2000), (422,)),
        "page as table": ("x.csv", b"<!DOCTYPE html><script>alert(1)</script>", (422,)),
        "zeros": ("x.csv", bytes(100_000), (422,)),
        "utf-16": ("x.csv", "a,b\n1,2\n".encode("utf-16"), (422,)),
        "no utf-8": ("x.csv", b"a\xff,b\n1,2\n", (422,)),
        "a column twice": ("x.csv", b"a,a\n1,2\n", (422,)),
        "nothing": ("x.csv", b"", (422,)),
        "too much": ("x.csv", b"a,b\n" + b"1,2\n" * 1_100_000, (413,)),
    }


def files() -> Iterator[tuple[str, Http | Raw]]:
    """Every hostile file to every route that takes one."""
    for what, (name, content, status) in tables().items():
        for number, route in enumerate(FILE_ROUTES):
            yield f"file {what} {number}", Http("POST", route.format(name=name), status, "", content)


def training(**changes: Any) -> bytes:
    asked: dict[str, Any] = {"name": "t", "epochs": 1, "feature_columns": ["heat"], "target_column": "quality"}
    asked |= {"data_source": {"kind": "file", "file_id": "0" * 64}}
    return json.dumps({**asked, **changes}).encode()


def trainings() -> Iterator[tuple[str, Http | Raw]]:
    """Requests for trainings that JSON's readers trip over, or that reach out of their folder."""
    sound = training()
    bodies: dict[str, bytes] = {
        "no JSON": b"{",
        "nothing": b"",
        "null": b"null",
        "a list": b"[" + sound + b"]",
        "bytes": b"\x80\x04\x95",
        "deep": b"[" * 100_000,
        "deep in a key": sound[:-1] + b', "x": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
        "no utf-8": sound.replace(b'"t"', b'"\xff\xfe"'),
        "half a character": sound.replace(b'"t"', b'"\\ud800"'),
        "utf-16": sound.decode().encode("utf-16"),
        "NUL": sound.replace(b'"t"', b'"a\\u0000b"'),
        "line break": sound.replace(b'"t"', b'"a\\r\\nb"'),
        "long name": training(name="x" * 10_000),
        "NaN": training(learning_rate=float("nan")),
        "infinite": training(learning_rate=float("inf")),
        "1e400": sound.replace(b'"epochs": 1', b'"learning_rate": 1e400'),
        "a huge integer": sound.replace(b'"epochs": 1', b'"epochs": 1' + b"0" * 5000),
        "2**64": training(epochs=2**64),
        "negative": training(epochs=-1),
        "a text": training(epochs="1; rm -rf /"),
        "a fraction": training(epochs=1.5),
        "no batch": training(batch_size=0),
        "units": training(hidden_units=[10**9]),
        "layers": training(hidden_units=[64] * 1000),
        "window": training(window_length=10**9),
        "another key": training(pickle="x"),
        "another kind": training(model_type="../mlp"),
        "output path": training(output_path="../../x"),
        "absolute path": training(output_path="/etc/cron.d/x"),
        "path with NUL": training(output_path="a\0b"),
        "source": training(data_source={"kind": "url", "url": "file:///etc/passwd"}),
        "file id": training(data_source={"kind": "file", "file_id": "../../tokens"}),
        "an unknown file": sound,
        "pipeline": training(data_source={"kind": "feature_store", "pipeline": "../x"}),
        "batch id": training(data_source={"kind": "batches", "pipeline": "line", "batch_ids": ["../x"]}),
        "too many batches": training(
            data_source={"kind": "batches", "pipeline": "line", "batch_ids": ["0" * 64] * 10_001}
        ),
        "target twice": training(target_column="heat"),
        "columns": training(feature_columns=["x"] * 10_001),
        "scheduler": training(learning_rate_scheduler={"type": "__import__('os')"}),
        "seed": training(seed=-1),
        "too large": training(name="x" * 2_000_000),
        "years": training(data_source={"kind": "feature_store", "pipeline": "line", "days": 10**12}),
    }
    kind = {"Content-Type": "application/json"}
    for what, body in bodies.items():
        yield f"training {what}", Http("POST", START, (400, 404, 409, 413, 422), "", body, kind)
    yield "training a key twice", Http("POST", START, (404, 422), "", b'{"name": "a", ' + sound[1:], kind)
    yield "training as a form", Http("POST", START, (415, 422), "", sound, {"Content-Type": "text/plain"})
    yield (
        "training in gzip",
        Http("POST", START, (400, 415, 422), "", gzip.compress(sound), {**kind, "Content-Encoding": "gzip"}),
    )
    for what, key in {"long": "x" * 300, "control": "a\x01b", "none": ""}.items():
        yield f"idempotency key {what}", Http("POST", START, (400, 422), "", sound, {**kind, "Idempotency-Key": key})


def tensors() -> dict[str, bytes]:
    """Requests with tensors that lie."""
    tensor: dict[str, Any] = {"name": "inputs", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}

    def body(**changes: Any) -> bytes:
        return json.dumps({"inputs": [{**tensor, **changes}]}).encode()

    return {
        "NaN": body().replace(b"1, 2]}", b"NaN, 2]}"),
        "1e400": body().replace(b"[1, 2]}", b"[1e400, 2]}"),
        "1e39": body(data=[1e39, 2]),
        "deep": body().replace(b"[1, 2]}", b"[" * 50_000),
        "shape": body(shape=[2**62, 2]),
        "negative": body(shape=[-1, -2]),
        "no shape": body(shape=[]),
        "a huge axis": body(shape=[10**30, 2]),
        "texts": body(data=["1", "2"]),
        "objects": body(data=[{}, []]),
        "ragged": body(data=[[1], [1, 2]]),
        "nothing": b"",
        "true": body(data=[True, False]),
        "BYTES": body(datatype="BYTES", data=["__import__('os').system('touch pwned')"]),
        "FP64": body(datatype="FP64"),
        "another input": body(name="../x"),
        "no data": body(data=None),
        "size": body(data=None, parameters={"binary_data_size": 2**40}),
        "many inputs": json.dumps({"inputs": [tensor] * 100}).encode(),
        "another key": json.dumps({"inputs": [tensor], "model": "/etc/passwd"}).encode(),
        "output": json.dumps({"inputs": [tensor], "outputs": [{"name": "../weights"}]}).encode(),
        "id": json.dumps({"inputs": [tensor], "id": "x" * 10_000}).encode(),
        "a huge integer": body().replace(b"[1, 2]}", b"[1" + b"0" * 5000 + b", 2]}"),
        "a shape of text": body(shape=["1", 2]),
        "pickle": PICKLE,
    }


def predictions() -> Iterator[tuple[str, Http | Raw]]:
    """Tensors that lie, in heads that lie."""
    for what, content in tensors().items():
        yield f"tensor {what}", Http("POST", INFER, (400, 413), "", content)
    sound = json.dumps({"inputs": [{"name": "inputs", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}).encode()
    yield (
        "tensor in gzip",
        Http("POST", INFER, (415,), "compressed", gzip.compress(sound), {"Content-Encoding": "gzip"}),
    )
    for what, length in {
        "beyond": "99999",
        "negative": "-1",
        "hexadecimal": "0x10",
        "other digits": "٣",
    }.items():
        head: Any = {"Inference-Header-Content-Length": length}
        yield f"head length {what}", Http("POST", INFER, (400,), "", sound, head)
    yield "a tensor too large", Http("POST", INFER, (413,), "larger", bytes(1_100_000))


def paths() -> Iterator[tuple[str, Http | Raw]]:
    """Paths that leave, or are none."""
    for what, path in {
        "up": "/v2/models/../../../etc/passwd",
        "up, encoded": "/v2/models/..%2f..%2ftokens.json",
        "up, dots encoded": "/v2/models/%2e%2e/infer",
        "NUL": "/v2/models/line%00/ready",
        "up from a model": "/api/v1/epoch-training/model/..%2f..%2ftokens.json",
        "up from a run": "/api/v1/epoch-training/progress/..%2f..%2f..%2fetc%2fpasswd",
        "up from a file": "/api/v1/files/..%2f..%2ftokens.json",
        "no hash": "/api/v1/files/" + "g" * 64,
        "long": "/v2/models/" + "x" * 20_000,
        "a version of 30 digits": f"/v2/models/line/versions/{10**30}",
        "a version below": "/v2/models/line/versions/-1",
        "a version in other digits": "/v2/models/line/versions/%D9%A1",
        "no utf-8": "/v2/models/%ff%fe",
        "a quote": "/v2/models/line'%20OR%201=1--/ready",
        "a template": "/v2/models/%7B%7B7*7%7D%7D/ready",
        "metrics of others": "//evil.example/metrics",
        "docs": "/docs",
        "git": "/.git/config",
        "tokens": "/tokens.json",
        "a line break": "/v2/models/line%0d%0aX-Evil:1/ready",
    }.items():
        yield f"path {what}", Raw(request("GET", path), (400, 404, 405, 422))
    yield (
        "a line break in a header's answer",
        Http("GET", "/api/v1/epoch-training/stream-progress/x", (404, 422), "", headers={"Last-Event-ID": "9" * 40}),
    )
    yield "delete of what is not there", Http("DELETE", "/api/v1/files/" + "0" * 64, (404,))
    yield (
        "labels without a key",
        Http("POST", "/api/v1/pipelines/line/labels?filename=l.csv", (409,), "key", b"part,quality\n1,good\n"),
    )
    yield (
        "batches of nobody",
        Http("POST", "/api/v1/pipelines/..%2f..%2fx/batches?filename=l.csv", (404,), "", b"a\n1\n"),
    )


def models(hostile: dict[str, bytes]) -> Iterator[tuple[str, Http | Raw]]:
    """Hostile models to the route that takes them, beside a file that is sound."""
    for what, content in hostile.items():
        form = {"file": ("h.csv", b"heat,speed,quality\n1,2,good\n"), "model": ("m.onnx", content)}
        said = "this " if content else "empty"
        yield f"model {what}", Http("POST", JOBS, (422,), said, files={**form, "pipeline": (None, b"line")})
    for name in ("../m.onnx", "m.pkl", "m.onnx\r\nX: y", ".onnx"):
        form = {"file": ("h.csv", b"heat,speed,quality\n1,2,good\n"), "model": (name, b"x")}
        yield f"model named {name!r}", Http("POST", JOBS, (400, 422), "", files={**form, "pipeline": (None, b"line")})


def cases(hostile: dict[str, bytes]) -> dict[str, Http | Raw]:
    """All of them, by name; hostile: models."""
    groups = (names(), forms(), files(), models(hostile), trainings(), predictions(), paths(), wires())
    listed = [case for group in groups for case in group]
    found = dict(listed)
    assert len(found) == len(listed), "two cases have one name"
    return found
