"""What a run imports when it first needs it, besides its flow: a process that forks runs imports it ahead of them."""

from importlib import import_module

from sqlalchemy.orm import configure_mappers

MODULES = (
    "deltalake",
    "great_expectations",
    "mlflow.onnx",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "onnxruntime",
    "prefect.flow_engine",
    "torch._dynamo",  # imported by every optimiser
    "torch.onnx",
)

for module in MODULES:
    import_module(module)
configure_mappers()
