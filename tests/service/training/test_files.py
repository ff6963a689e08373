import gzip
import hashlib
import io
import zlib
from pathlib import Path

import httpx
import polars as pl
import pytest

from deployments.settings import Settings
from service.app import create_app
from service.core import make_core
from service.settings import ServiceSettings
from tests.service.conftest import Secrets, client_with, listening
from tests.service.plant import history_csv

FILES = "/api/v1/files"


def parquet() -> bytes:
    buffer = io.BytesIO()
    pl.read_csv(history_csv()).write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [("h.csv", history_csv()), ("h.csv.gz", gzip.compress(history_csv())), ("H.PARQUET", parquet())],
)
def test_a_file_is_kept_under_its_hash_however_it_is_sent(admin: httpx.Client, name: str, content: bytes) -> None:
    as_form = admin.post(FILES, files={"file": (name, content)})
    as_body = admin.post(FILES, params={"name": name}, content=content)
    assert (as_form.status_code, as_body.status_code) == (201, 201)
    assert as_form.json() == as_body.json()
    sent = as_form.json()
    assert sent["file_id"] == hashlib.sha256(content).hexdigest()
    assert (sent["bytes"], sent["columns"]) == (len(content), ["heat", "speed", "quality"])
    place = f"{FILES}/{sent['file_id']}"
    assert admin.get(place).json() == sent
    assert admin.delete(place).status_code == 204
    assert admin.get(place).status_code == 404


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("name", "content", "status", "said"),
    [
        ("../../etc/passwd.csv", b"a,b\n1,2\n", 422, "plain file name"),
        ("..\\x.csv", b"a,b\n1,2\n", 422, "plain file name"),
        ("x\x00.csv", b"a,b\n1,2\n", 422, "plain file name"),
        (".hidden.csv", b"a,b\n1,2\n", 422, "plain file name"),
        ("x" * 300 + ".csv", b"a,b\n1,2\n", 422, "plain file name"),
        ("model.onnx", b"\x80\x04\x95", 422, "ending in .csv"),
        ("archive.zip", b"PK\x03\x04", 422, "ending in .csv"),
        ("", b"a,b\n1,2\n", 422, "ending in .csv"),
        ("empty.csv", b"", 422, "empty"),
        ("page.csv", b"<!DOCTYPE html><html><body>sign in</body></html>", 422, "page.csv"),
        ("twice.csv", b"a,a\n1,2\n", 422, "more than once"),
        ("zeros.csv", bytes(5000), 422, "zeros.csv"),
        ("cut.csv.gz", cut(gzip.compress(history_csv())), 422, "broken"),
        ("plain.csv.gz", history_csv(), 422, "broken"),
        ("cut.parquet", cut(parquet()), 422, "broken"),
        ("liar.parquet", b"PAR1" + b"\xff" * 40 + b"PAR1", 422, "broken"),
        ("bomb.csv.gz", gzip.compress(b"a,b\n" + bytes(5_000_000)), 413, "unpacked"),
        ("bombs.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 400_000) * 3, 413, "unpacked"),
        ("large.csv", b"a,b\n" + b"1,2\n" * 600_000, 413, "larger than"),
    ],
)
def test_what_is_no_file_is_refused_and_leaves_nothing(
    home: Path, secrets: Secrets, name: str, content: bytes, status: int, said: str
) -> None:
    service = ServiceSettings(max_data_bytes=2_000_000, max_unpacked_bytes=4_000_000)
    core = make_core(Settings(home=home), service)
    with listening(create_app(core)) as address, client_with(address, secrets["train"]) as client:
        answer = client.post(FILES, params={"name": name}, content=content)
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
        assert said in answer.json()["detail"]
    assert not list((home / "files").glob("*")) if (home / "files").exists() else True
    assert not (home.parent / "etc").exists()


def test_a_form_of_two_thousand_parts_is_refused(admin: httpx.Client) -> None:
    parts = [("file", (f"{i}.csv", b"a,b\n1,2\n")) for i in range(2000)]
    answer = admin.post(FILES, files=parts)
    assert answer.status_code == 400
    assert "Too many files" in answer.json()["detail"]
    assert admin.post(FILES, files={"other": ("x.csv", b"a\n1\n")}).status_code == 422


def test_many_gzip_members_are_one_file(admin: httpx.Client) -> None:
    content = history_csv()
    members = gzip.compress(content[:1000]) + gzip.compress(content[1000:])
    answer = admin.post(FILES, params={"name": "h.csv.gz"}, content=members)
    assert answer.status_code == 201, answer.text
    assert zlib.decompress(members, wbits=31) == content[:1000]
