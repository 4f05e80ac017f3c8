"""Spans of the inference methods on grpcio; StatusInterceptor stands before it, so what is raised is seen as it is."""

from __future__ import annotations  # grpc's classes take type parameters in the checker only

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any

import grpc

from services.prediction.tracing import Endpoint, Metadata, rpc
from services.rpc.status import Context, Continuation, Handler, with_behaviour

METHODS = {f"/inference.GRPCInferenceService/{name}" for name in ("ModelInfer", "ModelStreamInfer")}


class SpanInterceptor(grpc.aio.ServerInterceptor):
    """Puts `request` around each call; a stream is one."""

    def __init__(self, request: Callable[[Endpoint, Metadata], AbstractContextManager[None]]) -> None:
        self._request = request

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """The method's own handler, with a span around it where it infers."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method not in METHODS:
            return handler
        endpoint, metadata = rpc(method), handler_call_details.invocation_metadata or ()
        answer: Any = handler.unary_unary
        answers: Any = handler.stream_stream

        async def unary(request: object, context: Context) -> object:
            with self._request(endpoint, metadata):
                return await answer(request, context)

        async def stream(request: object, context: Context) -> AsyncIterator[object]:
            with self._request(endpoint, metadata):
                async for message in answers(request, context):
                    yield message

        return with_behaviour(handler, unary, stream)
