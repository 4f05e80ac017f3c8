"""Bearer tokens with two rights for each service; off until tokens are configured. Health stays open."""

from __future__ import annotations  # grpc's classes take type parameters in the checker only

import hmac
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc

from services.rpc.errors import AccessDeniedError, AccessError, InvalidSettingsError, UnauthenticatedError
from services.rpc.status import Context, Continuation, Handler, with_behaviour

Tokens = Mapping[str, str]
"""The right of each token."""


@dataclass(frozen=True)
class Policy:
    """What the methods of a service need: nothing, the lower of two rights, or the higher, which includes it."""

    service: str
    """Full name, such as `inference.GRPCInferenceService`."""
    lower: str
    higher: str
    open_methods: frozenset[str] = frozenset()
    lower_methods: frozenset[str] = frozenset()

    def required(self, method: str) -> str | None:
        """The right for a full method name (`/package.Service/Method`); a method that is not listed needs the higher.

        None where it is open, as the methods of other services are: health and reflection.
        """
        service, _, name = method.removeprefix("/").partition("/")
        if service != self.service or name in self.open_methods:
            return None
        return self.lower if name in self.lower_methods else self.higher

    def rights_of(self, right: str) -> tuple[str, ...]:
        """All rights that come with one."""
        return (self.lower, self.higher) if right == self.higher else (self.lower,)


def right_of(tokens: Tokens, authorization: str) -> str:
    """The right of the header's token. Takes the same time for every token. Raises UnauthenticatedError."""
    scheme, _, token = authorization.partition(" ")
    granted = None
    for known, right in tokens.items():
        if hmac.compare_digest(known.encode(), token.strip().encode()):
            granted = right
    if granted is None or scheme.lower() != "bearer":
        raise UnauthenticatedError
    return granted


def check(policy: Policy, tokens: Tokens, right: str, authorization: str) -> None:
    """Raise UnauthenticatedError or AccessDeniedError unless the header's token has `right`."""
    if right not in policy.rights_of(right_of(tokens, authorization)):
        raise AccessDeniedError(right)


def read_tokens(path: Path | None, policy: Policy) -> dict[str, str]:
    """Tokens from a file of lines `RIGHT TOKEN`; `#` begins a comment line. No path: no tokens.

    Raises InvalidSettingsError for an unreadable file, a wrong line (by number, without the token) or no token at all.
    """
    if path is None:
        return {}
    form = f"'{policy.lower} TOKEN' or '{policy.higher} TOKEN'"
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettingsError("tokens_file", "a readable text file", f"{path}: {error}") from error
    tokens = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split()
        if len(words) != 2 or words[0] not in (policy.lower, policy.higher):
            raise InvalidSettingsError(f"{path}, line {number}", form, f"{len(words)} words")
        tokens[words[1]] = words[0]
    if not tokens:
        raise InvalidSettingsError("tokens_file", f"at least one line {form}", f"{path} without any")
    return tokens


def authorization_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """The header `authorization` among a call's metadata; empty where there is none."""
    return str(dict(metadata or ()).get("authorization", ""))


class AuthorizationInterceptor(grpc.aio.ServerInterceptor):
    """Lets a call pass if its token has the method's right; StatusInterceptor stands before it and answers."""

    def __init__(self, policy: Policy, tokens: Tokens) -> None:
        self._policy, self._tokens = policy, tokens

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """The method's own handler, or one that refuses."""
        handler = await continuation(handler_call_details)
        right = self._policy.required(handler_call_details.method)
        if handler is None or right is None or not self._tokens:
            return handler
        try:
            check(self._policy, self._tokens, right, authorization_of(handler_call_details.invocation_metadata))
        except AccessError as error:
            return _refusing(handler, error)
        return handler


def _refusing(handler: Handler, refusal: AccessError) -> Handler:
    async def unary(_request: object, _context: Context) -> None:
        raise refusal

    async def stream(_request: object, _context: Context) -> AsyncIterator[object]:
        raise refusal
        yield  # what makes it a stream

    return with_behaviour(handler, unary, stream)
