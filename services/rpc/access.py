"""Authorization on grpcio: takes the header and the client certificate from a call, and lets it pass or not."""

from __future__ import annotations  # grpc's classes take type parameters in the checker only

from collections.abc import AsyncIterator, Collection, Iterable
from typing import Any

import grpc

from services.rpc.authorization import Authorizer
from services.rpc.credentials import identity
from services.rpc.status import Context, Continuation, Handler, with_behaviour

_CERTIFICATE_PROPERTIES = {"cn": "x509_common_name", "dns": "peer_dns", "uri": "peer_uri"}
"""Where gRPC keeps the parts of a verified certificate; it has them of no other."""


def authorization_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """The header `authorization` among a call's metadata; empty where there is none."""
    return str(dict(metadata or ()).get("authorization", ""))


def identities_of(context: Context) -> Collection[str]:
    """The names in the client certificate that TLS has verified, as lines of the tokens file have them."""
    known = context.auth_context()
    return [
        identity(kind, name.decode(errors="replace"))
        for kind, key in _CERTIFICATE_PROPERTIES.items()
        for name in known.get(key, ())
    ]


class AuthorizationInterceptor(grpc.aio.ServerInterceptor):
    """Lets a call pass if its caller has the method's right; StatusInterceptor stands before it and answers."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """The method's own handler, guarded where the method needs a right."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not self._authorizer.guards(method):
            return handler
        authorization = authorization_of(handler_call_details.invocation_metadata)
        answer: Any = handler.unary_unary or handler.stream_unary
        answers: Any = handler.unary_stream or handler.stream_stream

        def check(context: Context) -> None:
            self._authorizer.check(method, authorization, () if authorization else identities_of(context))

        async def unary(request: object, context: Context) -> object:
            check(context)
            return await answer(request, context)

        async def stream(request: object, context: Context) -> AsyncIterator[object]:
            check(context)
            async for message in answers(request, context):
                yield message

        return with_behaviour(handler, unary, stream)
