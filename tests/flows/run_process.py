"""`lehr run` in a process of its own, to be killed."""

import sys

from prefect.settings import PREFECT_API_URL, temporary_settings

import flows.learn_continuously  # noqa: F401  imported before the fork
from lehr import main


def run(pipeline: str, source: str, home: str, api: str) -> None:
    """What the command line does, with Prefect's server at an address."""
    sys.argv = ["lehr", "run", pipeline, "--source", source, "--home", home]
    with temporary_settings({PREFECT_API_URL: api}):
        main()
