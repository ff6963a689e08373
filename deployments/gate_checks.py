"""Checks that gates over rows and over signals share."""

from collections.abc import Callable

from deployments.gate_config import AnyGate
from deployments.verdict import Check, at_most, checked
from monitoring.wager import ENOUGH


def checks_of_the_file(
    config: AnyGate, latency_ms: float | None, size_mb: float | None, parity_error: float | None, asked: str = "sample"
) -> dict[str, Callable[[], Check]]:
    """What the exported file must hold; asked: what the latency is of."""
    return {
        "latency": lambda: at_most("latency", latency_ms, config.max_latency_ms, f"ms for one {asked}"),
        "size": lambda: at_most("size", size_mb, config.max_size_mb, "MB of the served file"),
        "parity": lambda: at_most(
            "parity", parity_error, config.max_parity_error, "largest difference of the exported file to torch"
        ),
    }


def check_proof(wealth: float) -> Check:
    """What a candidate has shown in the shadow, as `monitoring.wager` has it."""
    text = "is what a stake of 1 on the candidate has become on batches before it learned from them; needed is"
    return checked("proof", wealth, ENOUGH, wealth >= ENOUGH, text)
