"""The contestants that run in the project's own environment."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from typing_extensions import override

from services.prediction.pb import open_inference_pb2 as pb
from tests.benchmarks.serving.contestant import Launch, Peer
from tests.benchmarks.serving.models import Model

_PEERS = "tests.benchmarks.serving.peers"


class Own(Peer):
    """Nothing to set up."""

    @override
    def set_up(self, workplace: Path) -> None:
        """What it needs is there."""


@dataclass(frozen=True)
class Drivetrain(Own):
    """`drivetrain serve` with its defaults, and `options`."""

    options: Sequence[str] = ()

    @override
    def launch(self, model: Model, port: int, workplace: Path) -> Launch:
        """A server of all champions of the model's registry."""
        options = ["--port", str(port), "--metrics-port", "0", "--rest-port", "0", *self.options]
        return Launch(
            [sys.executable, "-m", "services.prediction", *options],
            {"DRIVETRAIN_HOME": str(model.home), "MLFLOW_TRACKING_URI": ""},
        )


class TorchServer(Own):
    """grpc.aio with torch in its handler."""

    @override
    def launch(self, model: Model, port: int, workplace: Path) -> Launch:
        """A server of this model alone."""
        return Launch([sys.executable, "-m", f"{_PEERS}.torch_server", model.package, str(port)])


class BareTransport(Own):
    """The native transport with an empty handler."""

    @override
    def launch(self, model: Model, port: int, workplace: Path) -> Launch:
        """A server that sends the answer to the load's request, whatever is asked."""
        file = workplace / f"answer-{model.name}.bin"
        file.write_bytes(canned_answer(model).SerializeToString())
        return Launch([sys.executable, "-m", f"{_PEERS}.bare_transport", file, str(port)])


def canned_answer(model: Model) -> pb.ModelInferResponse:
    """What the service would answer to the first golden row."""
    answer = pb.ModelInferResponse(model_name=model.name, model_version=model.version)
    expected = model.expected(0).outputs
    for tensor in model.manifest.outputs:
        array = expected[tensor.name]
        answer.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=array.shape)
        answer.raw_output_contents.append(np.ascontiguousarray(array).tobytes())
    return answer
