"""Where studies are kept: a journal file, or a database by URL; what a killed process leaves is no hindrance."""

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    import optuna

MISSING = "tuning needs Optuna, which is not installed: pip install --constraint constraints.txt --editable '.[tuning]'"


def optuna_library() -> Any:
    """Optuna, quiet; raises ValueError, saying what to install, where it is not there."""
    try:
        import optuna
    except ImportError:
        raise ValueError(MISSING) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_storage(place: Path | str) -> "optuna.storages.BaseStorage":
    """The journal at a path, made where there is none, or the database at a URL such as postgresql+psycopg://….

    Raises ValueError where Optuna or the database's driver is missing (PostgreSQL: the extra postgres), or no such
    database answers.
    """
    optuna = optuna_library()
    if isinstance(place, str) and "://" in place:
        try:
            return optuna.storages.RDBStorage(place)
        except (ImportError, SQLAlchemyError) as error:
            raise ValueError(f"cannot open the studies at {place.split('://')[0]}://…: {error}") from None
    from learning.search.journal import Journal

    path = Path(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    return optuna.storages.JournalStorage(Journal(path))


def this_process() -> str:
    """This process's name among all that work on a study: machine, number, and when it was started."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def is_dead(process: str) -> bool:
    """Whether a process of this machine is gone; of another machine's nothing is known."""
    machine, number, started = process.rsplit(":", 2)
    return machine == socket.gethostname() and _started(int(number)) != started


def _started(number: int) -> str:
    """When a process was started, so that its number in another's hands is not taken for it; empty where it is gone."""
    try:
        state, *fields = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
        return "" if state in "ZX" else fields[18]
    except OSError:
        if Path("/proc/self").exists():
            return ""
    try:  # no /proc on this system: a process that is there is taken for the same one
        os.kill(number, 0)
    except ProcessLookupError:
        return ""
    return "there"
