"""The one table from errors to gRPC statuses, and the interceptor that applies it to every call of ours."""

from __future__ import annotations  # grpc's classes take type parameters in the checker only

import inspect
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from services.rpc.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    ConflictError,
    DeadlineError,
    ExhaustedError,
    InvalidRequestError,
    NotFoundError,
    NotReadyError,
    PreconditionError,
    UnauthenticatedError,
    entry_of,
)
from services.rpc.logs import request_context

logger = logging.getLogger(__name__)

STATUSES: dict[type[BaseException], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    PreconditionError: grpc.StatusCode.FAILED_PRECONDITION,
    ConflictError: grpc.StatusCode.ABORTED,
    ExhaustedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlineError: grpc.StatusCode.DEADLINE_EXCEEDED,
    NotReadyError: grpc.StatusCode.UNAVAILABLE,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    AccessDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    Exception: grpc.StatusCode.INTERNAL,
}

MAX_TEXT_CHARS = 1000
"""Clients drop an answer whose metadata, the status text among it, exceeds 8 KiB."""

Context = grpc.aio.ServicerContext[Any, Any]
Behaviour = Callable[[Any, Context], Awaitable[object]]
Stream = Callable[[Any, Context], AsyncIterator[object]]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]"


def status_of(error: Exception) -> grpc.StatusCode:
    """The status of the nearest class in the error's MRO."""
    return entry_of(STATUSES, error)


def request_id_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """The caller's own id for the call, `x-request-id`, cut short; or a new one."""
    given = dict(metadata or ()).get("x-request-id")
    return str(given)[:64] if given else secrets.token_hex(8)


def answer_to(error: Exception, request_id: str) -> tuple[grpc.StatusCode, str]:
    """Status and text for the client. Of a bug it learns only the id under which the log holds the traceback."""
    status = status_of(error)
    if status is grpc.StatusCode.INTERNAL:
        return status, internal_text(error, request_id)
    return status, str(error)[:MAX_TEXT_CHARS]


def internal_text(error: Exception, request_id: str) -> str:
    """What a client is told of a bug, whatever transport it came by; the log gets the traceback."""
    logger.error("request %s failed", request_id, exc_info=error)
    return f"internal error; the server's log has more under request id {request_id}"


def with_behaviour(handler: Handler, unary: Behaviour, stream: Stream) -> Handler:
    """`handler` with `unary` in the place of its own behaviour, or `stream` where it answers with a stream."""
    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make: Callable[..., Handler] = kinds[handler.request_streaming, handler.response_streaming]
    behaviour = stream if handler.response_streaming else unary
    return make(behaviour, _lenient(handler.request_deserializer), handler.response_serializer)


@dataclass(frozen=True)
class Unreadable:
    """Stands for a message that could not be decoded, so that the refusal comes from the table, not from gRPC."""

    size_bytes: int


def _lenient(deserialize: Callable[[bytes], object] | None) -> Callable[[bytes], object] | None:
    def read(content: bytes) -> object:
        try:
            return content if deserialize is None else deserialize(content)
        except DecodeError:
            return Unreadable(len(content))

    return read


def check_readable(request: object) -> None:
    """Raise InvalidRequestError for a message that could not be decoded."""
    if isinstance(request, Unreadable):
        raise InvalidRequestError("message", "one of the method's type", f"{request.size_bytes} bytes that are none")


class StatusInterceptor(grpc.aio.ServerInterceptor):
    """Turns what a method raises into its status, and gives every call its request id."""

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """The method's handler, with every exception answered from the table."""
        handler = await continuation(handler_call_details)
        behaviour = None if handler is None else _behaviour(handler)
        if handler is None or behaviour is None:
            return handler
        request_id = request_id_of(handler_call_details.invocation_metadata)
        method = handler_call_details.method

        async def refuse(error: Exception, context: Context) -> NoReturn:
            status, text = answer_to(error, request_id)
            logger.info("%s: %s: %s", method, status.name, text)
            await context.abort(status, text)

        async def unary(request: object, context: Context) -> object:
            with request_context(request_id):
                try:
                    check_readable(request)
                    return await behaviour(request, context)
                except grpc.aio.AbortError:  # has its status already: the health service answers so
                    raise
                except Exception as error:  # noqa: BLE001 - the table ends with Exception: nothing leaves unanswered
                    await refuse(error, context)

        async def stream(request: object, context: Context) -> AsyncIterator[object]:
            with request_context(request_id):
                try:
                    check_readable(request)
                    async for message in behaviour(request, context):
                        yield message
                except grpc.aio.AbortError:
                    raise
                except Exception as error:  # noqa: BLE001 - as above
                    await refuse(error, context)

        return with_behaviour(handler, unary, stream)


def _behaviour(handler: Handler) -> Callable[..., Any] | None:
    """The function behind a handler; None for streams that write to their context, which are none of ours."""
    answers = handler.unary_stream or handler.stream_stream
    if answers is not None:
        return answers if inspect.isasyncgenfunction(answers) else None
    return handler.unary_unary or handler.stream_unary
