"""A package that is not installed, as far as a test can tell."""

import sys

import pytest
from fsspec.registry import _registry


def without_s3fs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the test is over; fsspec keeps every class that it has found once, so it has to forget this one too."""
    monkeypatch.setitem(sys.modules, "s3fs", None)
    for scheme in ("s3", "s3a"):
        monkeypatch.delitem(_registry, scheme, raising=False)
