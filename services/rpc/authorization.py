"""Who may call what: two rights for each service, off until a tokens file is given. Health stays open.

It knows no transport: whatever takes calls asks `Authorizer.check` with the name of the method, the header and, where
the transport has verified a client certificate, what that names. `access.py` does so for grpcio.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from services.rpc.credentials import Credentials, digest_of, read_credentials
from services.rpc.errors import AccessDeniedError, UnauthenticatedError
from services.rpc.reloading import LOOK_INTERVAL_S, Reloading

logger = logging.getLogger(__name__)

HEALTH_SERVICE = "grpc.health.v1.Health"


@dataclass(frozen=True)
class Policy:
    """What the methods of a service need: nothing, the lower of two rights, or the higher, which includes it."""

    service: str
    """Full name, such as `inference.GRPCInferenceService`."""
    lower: str
    higher: str
    open_methods: frozenset[str] = frozenset()
    lower_methods: frozenset[str] = frozenset()

    @property
    def rights(self) -> tuple[str, str]:
        """Both, the lower first."""
        return self.lower, self.higher

    def required(self, method: str) -> str | None:
        """The right for a full method name (`/package.Service/Method`); a method that is not listed needs the higher.

        None where it is open, as health is. What else stands beside the service, as reflection does, needs the lower.
        """
        service, _, name = method.removeprefix("/").partition("/")
        if service == HEALTH_SERVICE:
            return None
        if service != self.service:
            return self.lower
        if name in self.open_methods:
            return None
        return self.lower if name in self.lower_methods else self.higher

    def rights_of(self, right: str) -> tuple[str, ...]:
        """All rights that come with one."""
        return self.rights if right == self.higher else (self.lower,)


class Authorizer:
    """Checks calls against a tokens file, which is read again when it changes; without one everything is open.

    Raises InvalidSettingsError for a file that does not fit. `client_ca` is where the transport verifies certificates.
    """

    def __init__(
        self,
        policy: Policy,
        tokens_file: Path | None,
        client_ca: Path | None = None,
        look_interval_s: float = LOOK_INTERVAL_S,
    ) -> None:
        self._policy, self._client_ca = policy, client_ca
        self._warned: set[str] = set()
        self._credentials: Reloading[Credentials] | None = None
        if tokens_file is not None:
            self._credentials = Reloading([tokens_file], lambda: self._read(tokens_file), look_interval_s)

    def guards(self, method: str) -> bool:
        """Whether a call of this method needs a right at all."""
        return self._credentials is not None and self._policy.required(method) is not None

    def check(self, method: str, authorization: str, identities: Collection[str] = ()) -> None:
        """Raise UnauthenticatedError or AccessDeniedError unless the caller may call the method.

        `authorization` is the header of that name, empty if there is none; `identities` are the names in the client
        certificate that the transport has verified, such as `dns:shop.example.org`.
        """
        required = self._policy.required(method)
        if required is not None and required not in self.rights(authorization, identities):
            raise AccessDeniedError(required)

    def rights(self, authorization: str, identities: Collection[str] = ()) -> tuple[str, ...]:
        """What the caller may do. Raises UnauthenticatedError.

        A header that is given counts alone: a wrong token is refused, whatever certificate comes with it.
        """
        if self._credentials is None:
            return self._policy.rights
        credentials = self._credentials.current()
        if authorization:
            granted = {_right_of_token(credentials, authorization)}
        else:
            granted = {credentials.certificates.get(each) for each in identities}
        for right in (self._policy.higher, self._policy.lower):
            if right in granted:
                return self._policy.rights_of(right)
        raise UnauthenticatedError

    def _read(self, path: Path) -> Credentials:
        credentials = read_credentials(path, self._policy.rights)
        if credentials.num_plain:
            self._warn("%s holds tokens in plain: `drivetrain token` makes lines with their hash alone", path)
        if credentials.certificates and self._client_ca is None:
            self._warn("%s gives rights to certificates, but without tls_client_ca clients show none", path)
        return credentials

    def _warn(self, text: str, path: Path) -> None:
        """Once: the file may change often."""
        if text not in self._warned:
            self._warned.add(text)
            logger.warning(text, path)


def _right_of_token(credentials: Credentials, authorization: str) -> str | None:
    scheme, _, token = authorization.partition(" ")
    return credentials.tokens.get(digest_of(token.strip())) if scheme.lower() == "bearer" else None
