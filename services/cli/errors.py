"""Errors of the commands themselves.

DrivetrainError
├── InputError            what the user gave does not fit (exit code 2)
├── JobError              a job on the training service failed or was killed (exit code 1)
└── ServiceError          a service is away or failed (exit code 1)
    ├── AccessError       it wants another token or certificate
    └── TransientError    trying again later may help
        └── AwayError     nobody listens there
"""

from pipelines.errors import DrivetrainError


class InputError(DrivetrainError):
    """What the user gave does not fit."""


class JobError(DrivetrainError):
    """A job on the training service failed or was killed."""


class ServiceError(DrivetrainError):
    """A service is away or failed."""


class AccessError(ServiceError):
    """The token or certificate is missing, unknown, or not good for this; or TLS does not come about."""


class TransientError(ServiceError):
    """The service is away, starting, stopping or busy: trying again later may help."""


class AwayError(TransientError):
    """Nobody listens at the service's address; `advice` says how to start one."""

    def __init__(self, service: str, address: str, advice: str) -> None:
        super().__init__(service, address, advice)
        self.service, self.address, self.advice = service, address, advice

    def __str__(self) -> str:
        return f"no {self.service} service answers at {self.address}; {self.advice}"
