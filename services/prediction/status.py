"""The one table from domain errors to gRPC statuses, and the interceptor that applies it to every unary call."""

from __future__ import annotations  # grpc's classes take type parameters in the checker only

import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

import grpc

from services.prediction.errors import (
    AccessDeniedError,
    DeadlineExpiredError,
    InferenceFailedError,
    InvalidRequestError,
    LoadFailedError,
    NotFoundError,
    NotReadyError,
    QueueFullError,
    SetupError,
    UnauthenticatedError,
)

logger = logging.getLogger(__name__)

STATUSES: dict[type[Exception], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    NotReadyError: grpc.StatusCode.UNAVAILABLE,
    QueueFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlineExpiredError: grpc.StatusCode.DEADLINE_EXCEEDED,
    LoadFailedError: grpc.StatusCode.FAILED_PRECONDITION,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    AccessDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    InferenceFailedError: grpc.StatusCode.INTERNAL,
    SetupError: grpc.StatusCode.INTERNAL,
    Exception: grpc.StatusCode.INTERNAL,
}

MAX_TEXT_CHARS = 1000
"""Clients drop an answer whose metadata, the status text among it, exceeds 8 KiB."""

Context = grpc.aio.ServicerContext[Any, Any]
Behaviour = Callable[[Any, Context], Awaitable[object]]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]"


def status_of(error: Exception) -> grpc.StatusCode:
    """The status of the nearest class in the error's MRO."""
    return next(STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES)


def answer_to(error: Exception) -> tuple[grpc.StatusCode, str]:
    """Status and text for the client. Of a bug it learns only an id, under which the log holds the traceback."""
    status = status_of(error)
    if status is grpc.StatusCode.INTERNAL:
        request_id = secrets.token_hex(8)
        logger.error("request %s failed", request_id, exc_info=error)
        return status, f"internal error; the server's log has more under request id {request_id}"
    return status, str(error)[:MAX_TEXT_CHARS]


def wrap_unary(handler: Handler, behaviour: Behaviour) -> Handler:
    """`handler` with `behaviour` in the place of its own."""
    return grpc.unary_unary_rpc_method_handler(
        behaviour,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


class StatusInterceptor(grpc.aio.ServerInterceptor):
    """Turns what a unary method raises into its status."""

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """The method's handler, with every exception answered from the table."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        behaviour = cast(Behaviour, handler.unary_unary)  # grpc types it as the synchronous server's

        async def answered(request: object, context: Context) -> object:
            try:
                return await behaviour(request, context)
            except grpc.aio.AbortError:  # has its status already: the health service answers so
                raise
            except Exception as error:  # noqa: BLE001 - the table ends with Exception: nothing leaves unanswered
                await context.abort(*answer_to(error))

        return wrap_unary(handler, answered)
