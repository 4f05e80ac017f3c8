"""Errors of the commands themselves.

DrivetrainError
├── InputError    what the user gave does not fit (exit code 2)
└── ServiceError  a service is away or failed (exit code 1)
"""

from pipelines.errors import DrivetrainError


class InputError(DrivetrainError):
    """What the user gave does not fit."""


class ServiceError(DrivetrainError):
    """A service is away or failed."""
