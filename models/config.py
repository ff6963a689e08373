"""Which network a pipeline trains."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Task = Literal["classification", "regression"]

Units = Annotated[int, Field(ge=1)]


class _ModelConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class MlpConfig(_ModelConfig):
    """A multi-layer perceptron over the features of one row."""

    architecture: Literal["mlp"] = "mlp"
    hidden_units: list[Units] = Field(default=[128, 64], min_length=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)


class CnnLstmConfig(_ModelConfig):
    """Convolution blocks, an LSTM and attention pooling over a window."""

    architecture: Literal["cnn_lstm"] = "cnn_lstm"
    channels: list[Units] = Field(default=[32, 64], min_length=1)
    kernel_size: int = Field(default=3, ge=1)
    lstm_units: int = Field(default=64, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)


ModelConfig = Annotated[MlpConfig | CnnLstmConfig, Field(discriminator="architecture")]
