"""`lehr consume`, as it is typed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from commands.streams import Messages, Stream, consume
from data.inbox import waiting
from tests.data.test_consuming import ROOT, wait_until
from tests.data.test_redis_stream import SERVER, client, url  # noqa: F401  # pyright: ignore[reportUnusedImport]
from tests.service.plant import PIPELINE


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "line.yaml"
    path.write_text(PIPELINE)
    return path


@pytest.mark.skipif(SERVER is None, reason="there is no redis-server: apt-get install redis-server")
def test_lines_of_a_redis_stream_become_batches_until_it_is_told_to_stop(
    url: str,  # noqa: F811
    client: Any,  # noqa: F811
    pipeline: Path,
    tmp_path: Path,
) -> None:
    for part in range(7):
        client.xadd("line", {"value": f"{part},60,good\n" if part != 3 else "1,2"})
    given = ["--redis", url, "--stream", "line", "--format", "csv", "--columns", "heat,speed,quality", "--rows", "4"]
    command = [
        sys.executable,
        str(ROOT / "lehr.py"),
        "consume",
        str(pipeline),
        *given,
        "--home",
        str(tmp_path / "home"),
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
    )
    inbox = tmp_path / "home" / "line" / "inbox"
    wait_until(lambda: inbox.is_dir() and waiting(inbox), 60)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "6 rows taken, 1 messages rejected" in said.decode()
    frames = [pl.read_parquet(file) for file in waiting(inbox)]
    assert [frame["heat"].to_list() for frame in frames] == [[0, 1, 2, 4], [5, 6]]
    assert client.xpending("line", "lehr-line")["pending"] == 0


def test_what_it_cannot_read_from_is_said(pipeline: Path, tmp_path: Path) -> None:
    home, kafka = tmp_path / "home", {"topic": "line", "servers": "127.0.0.1:1"}
    with pytest.raises(ValueError, match="give --topic and --servers"):
        consume(pipeline, home=home)
    with pytest.raises(ValueError, match="give --topic and --servers"):
        consume(pipeline, of=Stream(**kafka, stream="line"), home=home)
    with pytest.raises(ValueError, match="name the cells with --columns"):
        consume(pipeline, of=Stream(**kafka), made=Messages(format="csv"), home=home)
    with pytest.raises(ValueError, match="each once"):
        consume(pipeline, of=Stream(**kafka), made=Messages(format="csv", columns="a,,b"), home=home)
    with pytest.raises(ValueError, match="write name=value"):
        consume(pipeline, of=Stream(**kafka, setting=["x"]), home=home)
