"""What the evidence since a reference amounts to, and which features carry it.

Shapes: F features, C = 2 channels (level, scale), L bets, X watched channels.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from monitoring.autoregression import Floats
from monitoring.calibration import Calibration

CHANNELS = ("level", "scale")
LEAST_SHARE = 0.01
LEAST_LOG = -700.0
"""No evidence at all, as a logarithm that JSON can hold."""


@dataclass(frozen=True)
class Carrier:
    """A feature's channel and its share of all evidence; a flatline is evidence enough by itself."""

    feature: str
    channel: str
    share: float


@dataclass(frozen=True)
class DriftEvidence:
    """Whether the batches since the reference are called drift, by what, and what could not be seen.

    log_e_value, log_limit: natural logarithms; from the limit on it is drift. detectable: the shift of each feature,
    in its deviations, that would be found; muted: why a feature's level, or all of it, is not watched.
    """

    drifted: bool
    log_e_value: float
    log_limit: float
    carriers: tuple[Carrier, ...]
    detectable: dict[str, float]
    muted: dict[str, str]
    silent: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One sentence with the channel that stands out most."""
        figures = f"evidence e^{self.log_e_value:.1f}, limit e^{self.log_limit:.1f}"
        if not self.drifted:
            return f"no drift: {figures}"
        first, others = self.carriers[0], {part.feature for part in self.carriers} - {self.carriers[0].feature}
        more = f" and {len(others)} more" if others else ""
        return f"{first.feature}{more} drifted, first by its {first.channel}: {figures}"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def weigh(
    calibration: Calibration, wealth_CFL: Floats, limit: float, flat: tuple[str, ...], silent: tuple[str, ...]
) -> DriftEvidence:
    """Average the bets of all channels that are watched and hold them against the limit.

    wealth_CFL: log(1 + M) of each bet's e-detector M. flat, silent: features that stand still or have no readings.
    """
    heard_CF = calibration.heard_CF
    heard_XL = wealth_CFL[heard_CF] if heard_CF.any() else np.zeros((1, 1))
    mean = float(logsumexp(heard_XL) - np.log(heard_XL.size))
    log_e_value = mean + float(np.log(-np.expm1(-mean))) if mean > 0 else -np.inf
    log_limit = float(np.log(limit))
    return DriftEvidence(
        drifted=log_e_value >= log_limit or bool(flat),
        log_e_value=max(log_e_value, LEAST_LOG),
        log_limit=log_limit,
        carriers=(
            *(Carrier(name, "flatline", 1.0) for name in flat),
            *_shares(calibration.names, heard_CF, wealth_CFL),
        ),
        detectable=calibration.detectable_shifts(),
        muted=calibration.muted(),
        silent=silent,
    )


def _shares(names: tuple[str, ...], heard_CF: NDArray[np.bool_], wealth_CFL: Floats) -> list[Carrier]:
    """The channels that hold at least a hundredth of the evidence, or the largest alone, largest first."""
    heard_CFL = np.where(heard_CF[..., None], wealth_CFL, 0)
    largest = heard_CFL.max(initial=0)
    parts_CF = (np.exp(heard_CFL - largest) - np.exp(-largest)).sum(2)
    shares_CF = parts_CF / max(float(parts_CF.sum()), 1e-300)
    order = np.argsort(-shares_CF, axis=None)
    found = [Carrier(names[i % len(names)], CHANNELS[i // len(names)], float(shares_CF.flat[i])) for i in order]
    least = min(LEAST_SHARE, max(float(shares_CF.max(initial=0)), 1e-300))
    return [part for part in found if part.share >= least]
