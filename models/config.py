"""Which network a pipeline trains."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Task = Literal["classification", "regression"]

Units = Annotated[int, Field(ge=1)]

EMBEDDING_DIM = 64

PRODUCTION_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "production_small": {"channels": [32, 64], "units": 64, "layers": 1, "hidden_units": [64, 32], "dropout": 0.2},
    "production_medium": {"channels": [64, 128], "units": 128, "layers": 2, "hidden_units": [128, 64], "dropout": 0.3},
    "production_large": {
        "channels": [64, 128, 256],
        "units": 256,
        "layers": 2,
        "bidirectional": True,
        "hidden_units": [256, 128],
        "dropout": 0.4,
    },
}
"""The three sizes of the hybrid network: about 60 thousand, 350 thousand and 3.3 million weights."""


class _ModelConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    hidden_units: list[Units] = Field(default=[64, 32], min_length=1, description="dense layers before the head")
    dropout: float = Field(default=0.2, ge=0, lt=1)


class _ConvolutionConfig(_ModelConfig):
    channels: list[Units] = Field(default=[32, 64], min_length=1, description="of each convolution block")
    kernel_size: int = Field(default=3, ge=1)


class RecurrentConfig(_ModelConfig):
    """What the recurrent networks share."""

    layers: int = Field(default=1, ge=1)
    units: int = Field(default=64, ge=1, description="of each recurrent layer and direction")
    bidirectional: bool = False


class MlpConfig(_ModelConfig):
    """A multi-layer perceptron over each row; over a window, the mean of its rows."""

    architecture: Literal["mlp"] = "mlp"


class CnnConfig(_ConvolutionConfig):
    """Convolution blocks over a window, then its mean and maximum over time."""

    architecture: Literal["cnn"] = "cnn"


class LstmConfig(RecurrentConfig):
    """An LSTM over a window, then its last state."""

    architecture: Literal["lstm"] = "lstm"


class GruConfig(RecurrentConfig):
    """A GRU over a window, then its last state."""

    architecture: Literal["gru"] = "gru"


class CnnLstmConfig(_ConvolutionConfig, RecurrentConfig):
    """The hybrid network: convolution blocks with batch norm, an LSTM and attention pooling over a window.

    preset: one of its production sizes; keys that stand beside it win over it.
    """

    architecture: Literal["cnn_lstm"] = "cnn_lstm"
    preset: Literal["production_small", "production_medium", "production_large"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, document: Any) -> Any:
        match document:
            case {"preset": str(name)} if name in PRODUCTION_PRESETS:
                return {**PRODUCTION_PRESETS[name], **document}
            case _:
                return document


ModelConfig = Annotated[
    MlpConfig | CnnConfig | LstmConfig | GruConfig | CnnLstmConfig, Field(discriminator="architecture")
]


class HierarchicalConfig(BaseModel):
    """A network for signals that come grouped: convolution blocks, a bidirectional GRU, two heads.

    Every block halves the time axis. `unet` brings the keypoint head back to the signal's own resolution.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    architecture: Literal["hierarchical"] = "hierarchical"
    channels: list[Units] = Field(default=[32, 64], min_length=1, description="of each convolution block")
    kernel_size: int = Field(default=5, ge=1, description="odd, so that a step lies in the middle of what it sees")
    hidden_units: int = Field(default=64, ge=1, description="of the GRU, in each direction")
    embedding_dim: int = Field(default=EMBEDDING_DIM, ge=1)
    blocks: Literal["plain", "residual"] = "plain"
    pool: Literal["last", "attention"] = Field(default="last", description="what the embedding is made of")
    decoder: Literal["none", "unet"] = Field(default="none", description="what the keypoint head reads")
    scaling: Literal["channel", "signal"] = Field(
        default="channel", description="a deviation is the channel's over all signals, or each signal's own"
    )
    decoding: Literal["argmax", "median", "ordered"] = Field(
        default="argmax",
        description="the likeliest step with its offset; the middle of the distribution over time; ordered: the same, "
        "given that keypoints follow one another as they are listed",
    )
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @field_validator("kernel_size")
    @classmethod
    def _is_odd(cls, size: int) -> int:
        if size % 2 == 0:
            raise ValueError(f"kernel_size is odd, not {size}")
        return size
