"""Bearer tokens with two rights, `infer` and `admin`; off until tokens are configured. Health stays open."""

from __future__ import annotations  # grpc's classes take type parameters in the checker only

import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import grpc

from services.prediction.errors import AccessDeniedError, AccessError, InvalidSettingsError, Right, UnauthenticatedError
from services.prediction.status import Context, Continuation, Handler, wrap_unary

SERVICE = "inference.GRPCInferenceService"

RIGHTS: Mapping[str, Right | None] = {
    f"/{SERVICE}/ServerLive": None,
    f"/{SERVICE}/ServerReady": None,
    f"/{SERVICE}/ServerMetadata": "infer",
    f"/{SERVICE}/ModelReady": "infer",
    f"/{SERVICE}/ModelMetadata": "infer",
    f"/{SERVICE}/ModelInfer": "infer",
    f"/{SERVICE}/RepositoryIndex": "infer",
    f"/{SERVICE}/RepositoryModelLoad": "admin",
}
"""What each method needs; a method of the service that is not listed needs `admin`."""

Tokens = Mapping[str, Right]


def required_right(method: str) -> Right | None:
    """The right that the full method name (`/package.Service/Method`) needs; None where it is open."""
    if not method.startswith(f"/{SERVICE}/"):
        return None  # health and reflection
    return RIGHTS.get(method, "admin")


def check(tokens: Tokens, right: Right, authorization: str) -> None:
    """Raise unless the header's token has `right`; `admin` includes `infer`. Takes the same time for every token."""
    scheme, _, token = authorization.partition(" ")
    granted: Right | None = None
    for known, its_right in tokens.items():
        if hmac.compare_digest(known.encode(), token.strip().encode()):
            granted = its_right
    if granted is None or scheme.lower() != "bearer":
        raise UnauthenticatedError
    if granted not in (right, "admin"):
        raise AccessDeniedError(right)


def read_tokens(path: Path) -> dict[str, Right]:
    """Tokens from a file of lines `infer TOKEN` or `admin TOKEN`; `#` begins a comment line.

    Raises InvalidSettingsError for an unreadable file, a wrong line (by number, without the token) or no token at all.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettingsError("tokens_file", "a readable text file", f"{path}: {error}") from error
    tokens: dict[str, Right] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split()
        right = next((right for right in get_args(Right) if words[0] == right), None)
        if right is None or len(words) != 2:
            raise InvalidSettingsError(
                f"{path}, line {number}", "'infer TOKEN' or 'admin TOKEN'", f"{len(words)} words"
            )
        tokens[words[1]] = right
    if not tokens:
        raise InvalidSettingsError(
            "tokens_file", "at least one line 'infer TOKEN' or 'admin TOKEN'", f"{path} without any"
        )
    return tokens


class AuthorizationInterceptor(grpc.aio.ServerInterceptor):
    """Lets a call pass if its token has the method's right; StatusInterceptor stands before it and answers."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """The method's own handler, or one that refuses."""
        handler = await continuation(handler_call_details)
        right = required_right(handler_call_details.method)
        if handler is None or right is None or not self._tokens:
            return handler
        metadata = dict(handler_call_details.invocation_metadata or ())
        try:
            check(self._tokens, right, str(metadata.get("authorization", "")))
        except AccessError as error:
            refusal = error  # `error` ends with this block

            async def refuse(_request: object, _context: Context) -> None:
                raise refusal

            return wrap_unary(handler, refuse)
        return handler
