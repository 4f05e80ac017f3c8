"""ModelInfer answers as bytes: what every answer to a header has in common is written once."""

import math
from collections.abc import Callable, Sequence

from pipelines.registry.manifest import NUMPY_DTYPES, Manifest, Tensor
from services.prediction.calls import Run
from services.prediction.codec import Inference, encode
from services.prediction.entry import ServedVersion
from services.prediction.pb import open_inference_pb2 as pb

RAW_OUTPUT_TAG = b"\x32"
"""Field 6 of a response, length-delimited."""

Encoder = Callable[[Run, int, bytes], bytes]
"""Writes the response: of a run's rows from a start on, with the request's encoded id field; may be empty."""


class GeneralEncoder:
    """Writes the response to any request."""

    def __init__(self, request: pb.ModelInferRequest, served: ServedVersion, inference: Inference) -> None:
        self._request, self._served, self._inference = request, served, inference

    def __call__(self, run: Run, start: int, _id_field: bytes) -> bytes:
        """The response as bytes."""
        outputs, served = run.rows(start, start + self._inference.num_rows), self._served
        return encode(self._request, served.version, served.manifest, self._inference, outputs).SerializeToString()


class ExpressEncoder:
    """Writes the response where everything but id and values is known beforehand."""

    def __init__(self, request: pb.ModelInferRequest, served: ServedVersion, inference: Inference) -> None:
        named = pb.ModelInferResponse(model_name=request.model_name, model_version=served.version)
        described = pb.ModelInferResponse()
        self._num_rows = inference.num_rows
        self._outputs: list[tuple[str, int, bytes]] = []
        for tensor in _ordered(served.manifest, inference.outputs):
            shape = [self._num_rows, *tensor.shape[1:]]
            described.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
            row_bytes = fixed_row_bytes(tensor)
            tag = RAW_OUTPUT_TAG + varint(self._num_rows * row_bytes)
            self._outputs.append((tensor.name, row_bytes, tag))
        self._before_id, self._after_id = named.SerializeToString(), described.SerializeToString()

    @staticmethod
    def fits(request: pb.ModelInferRequest, served: ServedVersion, inference: Inference) -> bool:
        """Whether the request is raw, and its outputs have rows of a fixed size and no parameters."""
        plain = not any(output.parameters for output in request.outputs) and not inference.classes
        fixed = all(map(fixed_row_bytes, _ordered(served.manifest, inference.outputs)))
        return inference.raw and plain and fixed

    def __call__(self, run: Run, start: int, id_field: bytes) -> bytes:
        """The response as bytes."""
        parts = [self._before_id, id_field, self._after_id]
        stop = start + self._num_rows
        for name, row_bytes, tag in self._outputs:
            parts += (tag, run.content(name)[start * row_bytes : stop * row_bytes])
        return b"".join(parts)


def varint(number: int) -> bytes:
    """A length as protobuf writes it: seven bits a byte, lowest first, the high bit on all but the last."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def fixed_row_bytes(tensor: Tensor) -> int:
    """Bytes of one row; 0 where rows differ in size."""
    dtype = NUMPY_DTYPES[tensor.datatype]
    return 0 if dtype.hasobject or -1 in tensor.shape[1:] else dtype.itemsize * math.prod(tensor.shape[1:])


def _ordered(manifest: Manifest, names: Sequence[str]) -> list[Tensor]:
    tensors = {tensor.name: tensor for tensor in manifest.outputs}
    return [tensors[name] for name in names]
