"""The native transport with an empty handler: every request gets the same ready-made answer.

    python -m tests.benchmarks.serving.peers.bare_transport FILE PORT

Nothing is read, checked or predicted: the ceiling of whatever stands on that transport. FILE holds the answer.
"""

import sys
from pathlib import Path

from pygrpc_native import EVENT_CALL, NativeGrpcFront

METHOD = "/inference.GRPCInferenceService/ModelInfer"
_EVENTS_A_BATCH = 256


def serve(answer: bytes, port: int) -> None:
    """Answer until the process is ended."""
    front = NativeGrpcFront(f"127.0.0.1:{port}", [(METHOD, False)], io_threads=1)
    front.start()
    while (events := front.recv_batch(_EVENTS_A_BATCH)) is not None:
        for kind, call_id, *_ in events:
            if kind == EVENT_CALL:
                front.respond(call_id, answer)


if __name__ == "__main__":
    serve(Path(sys.argv[1]).read_bytes(), int(sys.argv[2]))
