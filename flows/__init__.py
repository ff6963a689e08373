"""Prefect's flows."""

from prefect.settings import PREFECT_API_URL

if PREFECT_API_URL.value() is None:  # Prefect will start a temporary server
    from deployments.prefect_server import replace_temporary_servers

    replace_temporary_servers()
