"""A process of little reach: what it may take is limited, and with bwrap what it may see as well.

The limits are the kernel's (setrlimit). Memory is counted as RLIMIT_DATA does, by what the process may write to: that
follows what torch and polars take within a tenth, where RLIMIT_AS also counts every mapped library.
"""

import os
import resource
import shutil
import signal
import site
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.settings import MIB, ServiceSettings

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/localtime")
GRACE_SECONDS = 5
"""Between the signal at the end of the processor time and the kill."""
LAST_BYTES = 20_000
NO_MEMORY = (
    "memoryerror",
    "memory allocation",  # Rust's, before it aborts; OpenBLAS's
    "can't allocate memory",
    "unable to allocate",
    "std::bad_alloc",
    "cannot allocate memory",
    "failed to map segment",
    "out of memory",
)
DIED_OF = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)
"""What ends a process whose native code does not ask whether it got the memory that it wanted."""


@dataclass(frozen=True)
class Limits:
    """What a process may take."""

    memory_bytes: int
    cpu_seconds: int
    file_bytes: int
    open_files: int

    @classmethod
    def of(cls, service: ServiceSettings) -> "Limits":
        """A retraining job's."""
        return cls(service.job_memory_bytes, service.job_cpu_seconds, service.job_file_bytes, service.job_open_files)

    def arguments(self) -> list[str]:
        """For the command line of the process."""
        return [str(n) for n in (self.memory_bytes, self.cpu_seconds, self.file_bytes, self.open_files)]

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> "Limits":
        """What `arguments` made."""
        return cls(*(int(argument) for argument in arguments))

    def hold(self) -> None:
        """Let them hold for this process from now on.

        Raises:
            MemoryError: The process takes more memory already.
        """
        if _memory_taken() > self.memory_bytes:
            raise MemoryError(f"{_size(_memory_taken())} are taken already")
        for what, soft, hard in (
            (resource.RLIMIT_DATA, self.memory_bytes, self.memory_bytes),
            (resource.RLIMIT_CPU, self.cpu_seconds, self.cpu_seconds + GRACE_SECONDS),
            (resource.RLIMIT_FSIZE, self.file_bytes, self.file_bytes),
            (resource.RLIMIT_NOFILE, self.open_files, self.open_files),
            (resource.RLIMIT_CORE, 0, 0),
        ):
            most = resource.getrlimit(what)[1]
            allowed = hard if most == resource.RLIM_INFINITY else min(hard, most)
            resource.setrlimit(what, (min(soft, allowed), allowed))


def bwrap_works() -> bool:
    """Whether bwrap is there and allowed to do what it does: in some containers it is not."""
    found = shutil.which("bwrap")
    if found is None:
        return False
    trial = [found, "--unshare-all", "--ro-bind", "/", "/", "true"]
    try:
        return subprocess.run(trial, capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def inside_bwrap(command: Sequence[str], reads: Path, writes: Path) -> list[str]:
    """The command without a network and other processes, in a file system of Python, lehr's code and two folders.

    Everything that is written lies in `writes`, so that nothing fills memory from there.
    """
    scratch = writes / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    bound: list[str] = []
    for path in _readable():
        bound += ["--ro-bind-try", path, path]
    return [
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--hostname", "job"),
        *bound,
        *("--proc", "/proc", "--dev", "/dev"),
        *("--bind", str(scratch), "/tmp", "--bind", str(scratch), "/dev/shm"),
        *("--ro-bind", str(reads), str(reads), "--bind", str(writes), str(writes)),
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(writes), "--", *command),
    ]


def plain_environment(writes: Path) -> dict[str, str]:
    """What a process needs of the environment: no secret of the service's is among it."""
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TZ", "OMP_NUM_THREADS") if name in os.environ}
    (writes / "tmp").mkdir(parents=True, exist_ok=True)
    return {
        **kept,
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(writes),
        "TMPDIR": str(writes / "tmp"),
        "ORT_DISABLE_TELEMETRY": "1",
    }


def explain(status: int, log: Path, limits: Limits) -> str:
    """Why a process has ended with this status: the limit that it met, or the last that it said."""
    status = 128 - status if status > 128 else status  # bwrap's way to tell of a signal
    said = _end_of(log)
    if any(mark in said.lower() for mark in NO_MEMORY):
        return f"it needed more than {_size(limits.memory_bytes)} of memory"
    if status == -signal.SIGXCPU:
        return f"it needed more than {limits.cpu_seconds:,} seconds of processor time"
    if status == -signal.SIGXFSZ or "File too large" in said:
        return f"it wrote a file of more than {_size(limits.file_bytes)}"
    if "Too many open files" in said:
        return f"it opened more than {limits.open_files} files"
    if status < 0:
        return f"its process was ended by {_signal_of(-status, limits)}"
    lines = [line for line in said.splitlines() if " | INFO " not in line]  # Prefect says good-bye last
    return lines[-1][:300] if lines else f"its process ended with status {status}"


def _readable() -> list[str]:
    """Python, its packages and lehr's own code; a link and where it leads to."""
    packages = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    places = [*SYSTEM, sys.prefix, sys.base_prefix, *packages]
    code = [str(path) for path in sorted(ROOT.iterdir()) if (path / "__init__.py").is_file()]
    found = [spelled for place in places for spelled in (place, os.path.realpath(place)) if Path(place).exists()]
    return [*dict.fromkeys([*found, *code])]


def _signal_of(number: int, limits: Limits) -> str:
    name = signal.Signals(number).name
    if number == signal.SIGKILL:
        return f"{name}; the machine may have run out of memory"
    return f"{name}; it may have needed more than {_size(limits.memory_bytes)} of memory" if number in DIED_OF else name


def _memory_taken() -> int:
    """Bytes, as RLIMIT_DATA counts them; 0 where the kernel does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))


def _size(count: int) -> str:
    return f"{count / (1024 * MIB):.4g} GiB" if count >= 1024 * MIB else f"{count / MIB:.4g} MiB"


def _end_of(log: Path) -> str:
    try:
        content = log.read_bytes()[-LAST_BYTES:]
    except OSError:
        return ""
    return content.decode("utf-8", "replace")
