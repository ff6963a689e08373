"""A retraining job's training: `python -m service.retraining.job_process FOLDER PARENT MEMORY CPU FILE OPEN`.

PARENT: the process to end with; 0: whoever started this one sees to that. Nothing is imported or read before the
limits hold.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

from service.retraining.isolation import Limits

PR_SET_PDEATHSIG = 1


def main(folder: Path) -> None:
    """Train what lies in the folder."""
    # Imported late: it takes seconds and hundreds of megabytes, for which the limits hold too.
    from deployments.job_training import JobFolder, train_job

    train_job(JobFolder(folder))


def _end_with(parent: int) -> None:
    """Let the kernel end this process with its parent; only Linux does that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the parent is gone already")


if __name__ == "__main__":
    Limits.parse(sys.argv[3:7]).hold()
    if int(sys.argv[2]):
        _end_with(int(sys.argv[2]))
    main(Path(sys.argv[1]))
