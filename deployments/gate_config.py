"""What every gate asks of a candidate, whatever the pipeline's task."""

from typing import Literal

from pydantic import Field

from data.config import Config


class AnyGate(Config):
    """The keys that gates over rows and over signals share. Losses are in points of the metric, or shares of it.

    appetite: how a better version gets into production. probation: as soon as the checks hold; its predecessor goes on
    scoring beside it, and takes its place again once it has proven to be the better one. proof: the candidate scores
    beside the champion first, and goes live once it has proven to be better. After `shadow_batches` without proof the
    predecessor is no longer compared, or the lineage in the shadow given up.
    """

    appetite: Literal["probation", "proof"] = "probation"
    shadow_batches: int = Field(default=50, ge=4, description="labelled batches after which a rival is given up")
    max_regression: float | None = Field(
        default=None, ge=0, description="a loss against the champion that must be ruled out; null: 0.05, for shares 0.1"
    )
    max_forgetting: float | None = Field(
        default=None, ge=0, description="loss allowed on earlier batches' hold-outs; null: 0.02, for shares 0.05"
    )
    max_size_mb: float = Field(default=100.0, gt=0, description="of the served file")
    max_latency_ms: float = Field(default=5.0, gt=0, description="median for one sample through the exported file")
    max_parity_error: float = Field(default=1e-4, gt=0, description="largest difference of the exported file to torch")
    confidence: float = Field(default=0.9, gt=0.5, lt=1)
    resamples: int = Field(default=1000, ge=100)
