"""Nothing of a plant looks outside: every connection of every process, over a start, a first loop and a stop."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from data.synthetic import write_line
from tests.operations.conftest import PIPELINE
from tests.operations.plant import bring_up

CONNECT = re.compile(r"connect\(\d+, \{sa_family=AF_INET6?, (.*?)\}")
HERE = re.compile(r'inet_addr\("127\.|"::1"|"::ffff:127\.')
NAMES = "htons(53)"


def test_what_counts_as_outside() -> None:
    here = '1 connect(3, {sa_family=AF_INET, sin_port=htons(4200), sin_addr=inet_addr("127.0.0.1")}, 16) = 0'
    there = '1 connect(3, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("104.18.0.1")}, 16) = 0'
    names = '1 connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16) = 0'
    newer = '1 connect(3, {sa_family=AF_INET6, sin6_port=htons(443), inet_pton(AF_INET6, "2606:4700::1", &s)}, 28) = 0'
    local = '1 connect(3, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0'
    assert outside([here, local]) == []
    assert len(outside([here, there, names, newer])) == 3


@pytest.mark.operations
@pytest.mark.timeout(900)
def test_no_process_connects_to_the_outside(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    if subprocess.run([strace, "-qq", "-o", "/dev/null", "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine does not let processes be traced")
    pipeline, trace = tmp_path / "line.yaml", tmp_path / "connections"
    pipeline.write_text(PIPELINE)
    (batch,) = write_line(tmp_path / "batches", batches=1, rows=400)
    traced = [strace, "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect", "-o", str(trace)]
    with bring_up(tmp_path, pipeline, under=traced) as plant:
        plant.drop(batch)
        run = plant.ended(plant.start("learn-continuously"))
        assert run["state_type"] == "COMPLETED", run["state"]
    calls = trace.read_text().splitlines()
    assert any(HERE.search(call) for call in calls), "something was traced"
    assert outside(calls) == []


def outside(calls: list[str]) -> list[str]:
    """The calls that connect to another machine, or ask for a name's address."""
    found = [(call, match[1]) for call in calls if (match := CONNECT.search(call))]
    return [call for call, place in found if NAMES in place or not HERE.search(place)]
