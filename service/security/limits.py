"""How much a request may bring, by its path."""

from collections.abc import Callable

from service.settings import ServiceSettings

DELIVERIES = ("/batches", "/labels")
PREDICTIONS = "/infer"


def limits(settings: ServiceSettings) -> Callable[[str], int]:
    """The most bytes of a request to a path."""

    def limit_of(path: str) -> int:
        if path == "/api/v1/retraining/jobs":
            return settings.max_data_bytes + settings.max_model_bytes
        if path == "/api/v1/files" or (path.startswith("/api/v1/pipelines/") and path.endswith(DELIVERIES)):
            return settings.max_data_bytes
        tensors = path.endswith(PREDICTIONS) or (path.startswith("/api/v1/federations/") and path.endswith("/answers"))
        return settings.max_tensor_bytes if tensors else settings.max_body_bytes

    return limit_of
