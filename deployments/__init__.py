"""What goes live. onnxruntime, which is used here alone, sends telemetry unless it is told not to before its import."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
