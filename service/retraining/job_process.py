"""A retraining job's training: `python -m service.retraining.job_process FOLDER PARENT MEMORY CPU FILE OPEN`.

PARENT: the process to end with; 0: whoever started this one sees to that. Nothing that was sent is read before the
limits hold; lehr's own code is loaded before, as libraries that are refused memory while they load may die of it.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

from service.retraining.isolation import Limits

PR_SET_PDEATHSIG = 1


def main(folder: Path, limits: Limits) -> None:
    """Train what lies in the folder, within the limits."""
    from deployments.job_training import JobFolder, train_job

    limits.hold()
    train_job(JobFolder(folder))


def _end_with(parent: int) -> None:
    """Let the kernel end this process with its parent; only Linux does that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the parent is gone already")


if __name__ == "__main__":
    if int(sys.argv[2]):
        _end_with(int(sys.argv[2]))
    main(Path(sys.argv[1]), Limits.parse(sys.argv[3:7]))
