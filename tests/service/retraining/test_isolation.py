"""What a training may take and see, asked of a real process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.retraining.isolation import Limits, bwrap_works, explain, inside_bwrap, plain_environment
from service.settings import MIB

LIMITS = Limits(200 * MIB, 1, MIB, 64)
HELD = "import sys; from service.retraining.isolation import Limits; Limits.parse(sys.argv[1:]).hold(); "


def run(folder: Path, code: str) -> tuple[int, str]:
    """A process under the limits: its status, and why it ended."""
    log = folder / "log"
    with log.open("wb") as output:
        command = [sys.executable, "-c", HELD + code, *LIMITS.arguments()]
        status = subprocess.run(
            command, env=plain_environment(folder), cwd=folder, stderr=output, check=False
        ).returncode
    return status, explain(status, log, LIMITS)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = bytearray(10**9)", "it needed more than 200 MiB of memory"),
        ("import mmap; mmap.mmap(-1, 10**9, mmap.MAP_PRIVATE)", "it needed more than 200 MiB of memory"),
        ("exec('while True: pass')", "it needed more than 1 seconds of processor time"),
        ("open('x', 'wb').write(bytes(2**21))", "it wrote a file of more than 1 MiB"),
        ("x = [open('x', 'w') for _ in range(100)]", "it opened more than 64 files"),
        ("raise SystemExit('no reason')", "no reason"),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL; the machine may have run out of memory"),
        ("import os; os.kill(os.getpid(), 11)", "ended by SIGSEGV; it may have needed more than 200 MiB of memory"),
        ("print('OpenBLAS error: Memory allocation still failed', file=sys.stderr); sys.exit(1)", "more than 200 MiB"),
        ("import os; os._exit(3)", "its process ended with status 3"),
    ],
)
def test_a_limit_that_is_met_is_named(tmp_path: Path, code: str, said: str) -> None:
    status, why = run(tmp_path, code)
    assert status != 0
    assert said in why


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process takes")
def test_a_process_that_takes_more_already_does_not_begin(tmp_path: Path) -> None:
    code = "x = bytearray(300 * 2**20); from service.retraining.isolation import Limits; "
    command = [sys.executable, "-c", f"{code}Limits({LIMITS.memory_bytes}, 9, 10**6, 64).hold(); print('began')"]
    ended = subprocess.run(command, env=plain_environment(tmp_path), capture_output=True, text=True, check=False)
    assert ended.stdout == ""
    assert "MiB are taken already" in ended.stderr


def test_nothing_secret_is_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEHR_SERVE_TOKENS", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert "secret" not in plain_environment(tmp_path).values()


PROBE = """
import os, socket, sys
given, work, home = sys.argv[1:]
def writes(place):
    try:
        open(place, "w").close()
    except OSError:
        return False
    return True
try:
    socket.create_connection(("192.0.2.1", 80), 1)
except OSError as error:
    print(error.errno)
print(os.path.exists(home + "/tokens.json"), sorted(os.listdir(home)), os.path.exists("/etc/passwd"))
print([writes(place) for place in (given + "/x", "/x", "/dev/x", "/usr/x", work + "/x", "/tmp/x")])
print(len([name for name in os.listdir("/proc") if name.isdigit()]) < 5)
import service.retraining.isolation, torch
"""


@pytest.mark.skipif(not bwrap_works(), reason="bwrap is not here, or may not do its work")
def test_inside_bwrap_there_is_no_network_and_nothing_of_others(tmp_path: Path) -> None:
    given, work = tmp_path / "job" / "given", tmp_path / "job" / "work"
    given.mkdir(parents=True)
    work.mkdir()
    (tmp_path / "tokens.json").write_text("secret")
    command = [sys.executable, "-c", PROBE, str(given), str(work), str(tmp_path)]
    box = inside_bwrap(command, given, work)
    environment = {**plain_environment(work), "PATH": os.environ["PATH"]}
    found = subprocess.run(box, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert found == ["101", "False ['job'] False", "[False, False, False, False, True, True]", "True"]
    assert (work / "tmp" / "x").exists()
