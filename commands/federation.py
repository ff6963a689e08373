"""The commands of federations: federate, node."""

import os
import time
from pathlib import Path
from typing import Any

from commands.opening import console, settings_at
from deployments.settings import keep_quiet

TOKEN = "LEHR_NODE_TOKEN"


def federate(federation: Path, *, home: Path | None = None) -> dict[str, Any]:
    """Let the nodes of a federation learn together: all the first time, later those whose process has moved.

    Parameters
    ----------
    federation
        The federation's file: its nodes, their sources, and how they learn.
    home
        Where lehr keeps its state.
    """
    from deployments.federation import FederationFile, summary_lines

    FederationFile.load(federation).check_sources(federation.parent)
    settings = settings_at(home)
    keep_quiet(settings)
    from flows.run_federation import run_federation

    report = run_federation(str(federation), str(settings.home))
    for line in summary_lines(report):
        console.print(line)
    return report


def node(
    config: Path, *, url: str, token: str | None = None, ca: Path | None = None, home: Path | None = None
) -> Path | None:
    """Take part in a federation whose coordinator is a lehr service elsewhere; rows stay here.

    It may be stopped and started again at any time, and so may the service.

    Parameters
    ----------
    config
        The node's file: the federation's name, where its rows lie, and what their columns are.
    url
        The service, such as https://plant.example.
    token
        The node's token, with the role node; its name is the node's. Default: the variable LEHR_NODE_TOKEN.
    ca
        Certificates to trust besides the system's.
    home
        Where lehr keeps its state.
    """
    from deployments.federation_node import NodeProcess, open_client
    from deployments.node_file import NodeFile

    secret = token or os.environ.get(TOKEN)
    if not secret:
        raise ValueError(f"a node needs its token: --token, or the variable {TOKEN}")
    file = NodeFile.load(config)
    folder = settings_at(home).home / "nodes" / file.federation
    with open_client(url, secret, ca) as client:
        process = NodeProcess(file, config.parent, client, folder, time.sleep, time.monotonic, console.print)
        model = process.run()
    if model is not None:
        console.print(f"model: {model}")
    return model
