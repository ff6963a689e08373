"""Named sets of values for `TrainingConfig`; `fast` are its own defaults.

v2: as the earlier orchestrator had it; it needs thousands of steps. robust: noisy readings and outliers. imbalanced:
rare classes.
"""

from collections.abc import Mapping
from typing import Any

V2_LEAST_STEPS = 2_000
"""With fewer gradient steps the v2 preset's small learning rate leaves a network badly under-trained."""

TRAINING_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "v2": {
        "epochs": 100,
        "batch_size": 256,
        "learning_rate": 5e-5,
        "weight_decay": 0.01,
        "schedule": {"kind": "cosine_warm_restarts"},
        "loss": {"kind": "focal", "gamma": 2.5, "label_smoothing": 0.1},
        "augmentations": [{"kind": "noise", "deviations": 0.05}],
    },
    "robust": {
        "epochs": 40,
        "schedule": {"kind": "one_cycle"},
        "augmentations": [
            {"kind": "noise", "deviations": 0.1},
            {"kind": "scaling", "deviations": 0.05},
            {"kind": "channel_dropout", "share": 0.05},
        ],
        "clip_norm": 1.0,
        "ema_decay": 0.99,
    },
    "imbalanced": {
        "epochs": 40,
        "class_weights": "balanced",
        "loss": {"kind": "focal", "gamma": 2.0},
        "clip_norm": 1.0,
    },
}
