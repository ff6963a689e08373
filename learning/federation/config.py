"""How nodes learn together: what a federation's file says under `federation`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from data.config import Config
from learning.config import TrainingConfig
from learning.optimisers import Sgd


class FedAvg(Config):
    """The mean of the nodes' updates, weighted by their rows (McMahan et al. 2017)."""

    method: Literal["fedavg"] = "fedavg"


class FedProx(Config):
    """As fedavg; each node is also drawn back to where its round began (Li et al. 2020)."""

    method: Literal["fedprox"] = "fedprox"
    mu: float = Field(default=0.01, ge=0)


class _ServerOptimiser(Config):
    learning_rate: float = Field(default=0.05, gt=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.99, ge=0, lt=1)
    tau: float = Field(default=1e-3, gt=0, description="how much adaptivity there is at most")


class FedAdam(_ServerOptimiser):
    """The mean update as a gradient for Adam at the coordinator (Reddi et al. 2021)."""

    method: Literal["fedadam"] = "fedadam"


class FedYogi(_ServerOptimiser):
    """As fedadam, with Yogi's slower second moment (Reddi et al. 2021)."""

    method: Literal["fedyogi"] = "fedyogi"


class Scaffold(Config):
    """Control variates take out how the nodes' gradients differ (Karimireddy et al. 2020); nodes learn by plain SGD."""

    method: Literal["scaffold"] = "scaffold"


class _Robust(Config):
    hostile: float = Field(default=0.2, ge=0, lt=0.5, description="the share of nodes that may be hostile")
    mixing: bool = Field(default=False, description="first each update becomes its mean with its nearest ones")


class Median(_Robust):
    """The median of each weight's updates (Yin et al. 2018); every node counts the same."""

    method: Literal["median"] = "median"


class TrimmedMean(_Robust):
    """The mean of each weight's updates without the largest and the smallest (Yin et al. 2018)."""

    method: Literal["trimmed_mean"] = "trimmed_mean"


class Krum(_Robust):
    """The mean of those updates that lie closest to their neighbours (multi-Krum, Blanchard et al. 2017).

    Alone it drops nodes for having rows of their own; nearest-neighbour mixing (Allouah et al. 2023) prevents that.
    """

    method: Literal["krum"] = "krum"
    mixing: bool = True


AggregationConfig = Annotated[
    FedAvg | FedProx | FedAdam | FedYogi | Scaffold | Median | TrimmedMean | Krum, Field(discriminator="method")
]
SUMS = ("fedavg", "fedprox", "fedadam", "fedyogi", "scaffold")
"""The methods for which a sum over nodes is enough; the others look at each update."""
ROBUST = (Median, TrimmedMean, Krum)


class SharedUnits(Config):
    """Mean and deviation of each sensor over all nodes; counts, sums and sums of squares leave a node for it."""

    kind: Literal["shared"] = "shared"


class PersonalUnits(Config):
    """Each node's own mean and deviation, which stay there."""

    kind: Literal["personal"] = "personal"


class GivenUnits(Config):
    """What is known without looking at data, such as a sensor's range; a sensor that is not named has 0 and 1."""

    kind: Literal["given"] = "given"
    mean: dict[str, float] = Field(default={})
    std: dict[str, Annotated[float, Field(gt=0)]] = Field(default={})
    target_mean: float = 0.0
    target_std: float = Field(default=1.0, gt=0)


UnitsConfig = Annotated[SharedUnits | PersonalUnits | GivenUnits, Field(discriminator="kind")]


class NodePrivacy(Config):
    """What is released tells little of whether a node took part at all (McMahan et al. 2018).

    Each update is cut to `clip` and the nodes together add Gaussian noise of `noise` × `clip` to their sum. With
    `fraction` below one each node takes part in a round by a draw of its own.
    """

    level: Literal["node"] = "node"
    clip: float = Field(default=1.0, gt=0)
    noise: float = Field(default=1.0, gt=0, description="the noise multiplier")
    delta: float = Field(default=1e-5, gt=0, lt=1)
    seed: int | None = Field(default=None, description="for tests only: who knows the seed knows the noise")


class RecordPrivacy(Config):
    """What leaves a node tells little of whether any one row is in it: DP-SGD (Abadi et al. 2016), by Opacus."""

    level: Literal["record"] = "record"
    clip: float = Field(default=1.0, gt=0, description="of each row's gradient")
    noise: float = Field(default=1.0, gt=0, description="the noise multiplier")
    delta: float = Field(default=1e-5, gt=0, lt=1)
    seed: int | None = Field(default=None, description="for tests only: who knows the seed knows the noise")


PrivacyConfig = Annotated[NodePrivacy | RecordPrivacy, Field(discriminator="level")]

Personal = Literal["head", "norms"]


class FederationConfig(Config):
    """Rounds, who takes part, what is shared, and how it is protected."""

    rounds: int = Field(default=10, ge=1)
    aggregation: AggregationConfig = FedAvg()
    local_epochs: int = Field(default=2, ge=1, description="of each node in each round")
    fraction: float = Field(default=1.0, gt=0, le=1, description="of the nodes, asked in a round")
    quorum: float = Field(
        default=0.5, gt=0, le=1, description="of the asked nodes, without whose answers nothing moves"
    )
    node_seconds: float | None = Field(
        default=None, gt=0, description="a slower node sends what it has learned until then"
    )
    deadline_seconds: float = Field(default=600, gt=0, description="then a round goes on without those that are silent")
    personal: list[Personal] = Field(default=[], description="what stays on each node: head (FedPer), norms (FedBN)")
    units: UnitsConfig = SharedUnits()
    logit_adjustment: bool = Field(
        default=False, description="how often a node has each class is taken out of its loss"
    )
    privacy: PrivacyConfig | None = None
    secure: bool = Field(default=False, description="the coordinator sees sums only")
    max_norm_ratio: float = Field(default=10, gt=1, description="an update longer than so many median ones is refused")
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        method, by_sum = self.aggregation.method, self.aggregation.method in SUMS
        if self.secure and not by_sum:
            raise ValueError(f"secure: {method} looks at each update, and the coordinator is to see sums only")
        if isinstance(self.privacy, NodePrivacy) and (not by_sum or method == "scaffold"):
            raise ValueError(f"privacy: node level knows fedavg, fedprox, fedadam and fedyogi, not {method}")
        if isinstance(self.privacy, RecordPrivacy) and method in ("scaffold", "fedprox"):
            raise ValueError(f"privacy: record level changes how nodes learn, and so does {method}")
        if self.privacy is not None and isinstance(self.units, SharedUnits):
            raise ValueError(
                "units: shared means and deviations would leave the nodes unprotected; with privacy units are given"
                " or, at node level, personal"
            )
        if isinstance(self.privacy, RecordPrivacy) and not isinstance(self.units, GivenUnits):
            raise ValueError(
                "units: personal ones depend on all rows of a node; record-level privacy needs given units"
            )
        if self.logit_adjustment and not isinstance(self.units, SharedUnits):
            raise ValueError("logit_adjustment: nodes count their classes beside shared units")
        if self.logit_adjustment and "head" in self.personal:
            raise ValueError("logit_adjustment: it is for one head that all share, not for personal ones")
        return self


def check_training(federation: FederationConfig, training: TrainingConfig) -> None:
    """Raise ValueError where the nodes' training does not fit the method or the privacy."""
    plain = isinstance(training.optimiser, Sgd) and training.optimiser.momentum == 0
    if federation.aggregation.method == "scaffold" and not plain:
        raise ValueError("training.optimiser: scaffold needs {kind: sgd, momentum: 0}")
    if training.device != "cpu" or training.precision != "fp32" or training.devices != 1:
        raise ValueError("training: nodes learn on the CPU in one process in full precision")
    if isinstance(federation.privacy, RecordPrivacy) and (training.augmentations or training.class_weights is not None):
        raise ValueError("training: record-level privacy takes neither augmentations nor class weights")
