"""The command line of lehr, and the client of its service: the front door."""

import sys

from cyclopts import App
from rich.console import Console

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
    """Run the command line; a mistake of the user's is said without a traceback, with exit status 2."""
    try:
        app(result_action="return_value")
    except ValueError as mistake:
        Console(stderr=True, highlight=False).print(f"[red]lehr:[/red] {mistake}", markup=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
