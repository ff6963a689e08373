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
from monitoring.together import TOGETHER

CHANNELS = ("level", "scale")
DEPENDENCE = "dependence on each other"
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
    calibration: Calibration,
    wealth_CFL: Floats,
    together_L: Floats,
    limit: float,
    flat: tuple[str, ...],
    silent: tuple[str, ...],
) -> DriftEvidence:
    """Average the bets of all channels that are watched and hold them against the limit.

    wealth_CFL, together_L: log(1 + M) of each bet's e-detector M, of each feature and of all sensors together. flat,
    silent: features that stand still or have no readings.
    """
    heard_CF = calibration.heard_CF
    parts = [wealth_CFL[heard_CF], *([together_L[None]] if calibration.together.heard else [])]
    heard_XL = np.concatenate(parts) if heard_CF.any() else np.zeros((1, 1))
    mean = float(logsumexp(heard_XL) - np.log(heard_XL.size))
    log_e_value = mean + float(np.log(-np.expm1(-mean))) if mean > 0 else -np.inf
    log_limit = float(np.log(limit))
    return DriftEvidence(
        drifted=log_e_value >= log_limit or bool(flat),
        log_e_value=max(log_e_value, LEAST_LOG),
        log_limit=log_limit,
        carriers=(
            *(Carrier(name, "flatline", 1.0) for name in flat),
            *_shares(calibration.names, heard_CF, wealth_CFL, together_L),
        ),
        detectable=calibration.detectable_shifts(),
        muted=calibration.muted(),
        silent=silent,
    )


def _shares(
    names: tuple[str, ...], heard_CF: NDArray[np.bool_], wealth_CFL: Floats, together_L: Floats
) -> list[Carrier]:
    """The channels that hold at least a hundredth of the evidence, or the largest alone, largest first."""
    told = [(name, channel) for channel in CHANNELS for name in names] + [(TOGETHER, DEPENDENCE)]
    heard_XL = np.concatenate([np.where(heard_CF[..., None], wealth_CFL, 0).reshape(-1, len(together_L)), [together_L]])
    largest = heard_XL.max(initial=0)
    parts_X = (np.exp(heard_XL - largest) - np.exp(-largest)).sum(1)
    shares_X = parts_X / max(float(parts_X.sum()), 1e-300)
    found = [Carrier(told[x][0], told[x][1], float(shares_X[x])) for x in np.argsort(-shares_X)]
    least = min(LEAST_SHARE, max(float(shares_X.max(initial=0)), 1e-300))
    return [part for part in found if part.share >= least]
