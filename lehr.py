"""The command line of lehr, and the client of its service: the front door."""

import sys
from typing import NoReturn

from cyclopts import App
from rich.console import Console
from rich.text import Text

from commands import federation, lines, loop, metrics, plant, receipts, remote, served, service, similar, streams, tune
from service.calls import ServiceError
from service.client import Client

__all__ = ["Client", "ServiceError", "main"]

app = App(name="lehr", help="A continuous-learning line for neural networks on sensor data.", version="0.1.0")
COMMANDS = (
    *(loop.init, loop.run, loop.labels, loop.demo, loop.backtest, tune.tune, lines.synthesise, metrics.metrics),
    *(plant.status, plant.history, plant.rollback, plant.release, plant.up, plant.down, plant.deploy),
    *(receipts.predict, receipts.explain, receipts.verify),
    *(federation.federate, federation.node),
    *(service.serve, service.token, served.served, streams.consume),
    *(similar.index, similar.similar),
)
for command in COMMANDS:
    app.command(command)
app.command(remote.app)


def main() -> None:
    """Run the command line; a mistake of the user's is said without a traceback, with exit status 2.

    So is a file or a folder that cannot be read or written.
    """
    try:
        app(result_action="return_value")
    except ValueError as mistake:
        _end(str(mistake))
    except OSError as error:
        _end(str(error) if error.filename is None else f"{error.filename}: {error.strerror}")


def _end(reason: str) -> NoReturn:
    Console(stderr=True, highlight=False).print(Text.assemble(("lehr:", "red"), f" {reason}"))
    sys.exit(2)


if __name__ == "__main__":
    main()
