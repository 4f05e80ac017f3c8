"""A typed client of the prediction service, synchronous and asynchronous."""

from services.prediction.client import errors
from services.prediction.client.aio import AsyncPredictionClient
from services.prediction.client.channel import ClientTls
from services.prediction.client.description import IndexEntry, ModelMetadata, ServerMetadata, TensorMetadata
from services.prediction.client.messages import Prediction
from services.prediction.client.retry import NO_RETRIES, RetryPolicy
from services.prediction.client.sync import PredictionClient

__all__ = [
    "NO_RETRIES",
    "AsyncPredictionClient",
    "ClientTls",
    "IndexEntry",
    "ModelMetadata",
    "Prediction",
    "PredictionClient",
    "RetryPolicy",
    "ServerMetadata",
    "TensorMetadata",
    "errors",
]
