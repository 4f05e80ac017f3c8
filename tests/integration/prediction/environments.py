"""Clients of others in environments of their own under `build/`, made once by the first test that needs one."""

import asyncio
import sys
from pathlib import Path

import pytest

ENVIRONMENTS = Path(__file__).parents[3] / "build" / "clients"


async def python_with(requirement: str) -> Path:
    """The interpreter of an environment with that package; the test is skipped where it cannot be installed."""
    environment = ENVIRONMENTS / requirement
    python, complete = environment / "bin" / "python", environment / "complete"
    if complete.exists():
        return python
    making = [sys.executable, "-m", "venv", str(environment)]
    filling = [str(python), "-m", "pip", "install", "--quiet", requirement]
    for command in (making, filling):
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        _, errors = await process.communicate()
        if process.returncode != 0:
            pytest.skip(f"NOT TESTED with {requirement}, it cannot be installed: {errors.decode()[-500:]}")
    complete.touch()
    return python
