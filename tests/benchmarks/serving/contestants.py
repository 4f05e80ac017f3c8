"""The contestants, in the order of the tables."""

from tests.benchmarks.serving.contestant import Contestant
from tests.benchmarks.serving.models import MODELS
from tests.benchmarks.serving.peers.mlserver import MlServer
from tests.benchmarks.serving.peers.own import BareTransport, Drivetrain, TorchServer
from tests.benchmarks.serving.peers.triton import Triton

CONTESTANTS = (
    Contestant("drivetrain-native", "Drivetrain, native", Drivetrain(("--transport", "native")), MODELS),
    Contestant("drivetrain-grpcio", "Drivetrain, grpcio", Drivetrain(("--transport", "grpcio")), MODELS),
    Contestant("triton-1", "Triton, 1 instance", Triton(1), MODELS),
    Contestant("triton-2", "Triton, 2 instances", Triton(2), MODELS),
    Contestant("grpc-aio", "grpc.aio + torch", TorchServer(), MODELS),
    Contestant("mlserver", "MLServer", MlServer(parallel_workers=1), MODELS),
    Contestant("mlserver-inline", "MLServer, no worker", MlServer(parallel_workers=0), MODELS),
    Contestant("bare-transport", "bare native transport", BareTransport(), ("mlp",), predicts=False),
)
REFERENCES = ("triton-1", "triton-2")
"""The better of these in a cell is what the others are compared with."""
