"""The Ray cluster through the REST interface of its dashboard: the Jobs API, and the nodes.

Plain HTTP keeps the service alive when the head is not: nothing here joins the cluster.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import aiohttp

from services.training.errors import ClusterAwayError

logger = logging.getLogger(__name__)

RayStatus = Literal["PENDING", "RUNNING", "SUCCEEDED", "STOPPED", "FAILED"]

TIMEOUT_S = 10.0


@dataclass(frozen=True)
class RayJob:
    """What Ray knows of an attempt."""

    status: RayStatus
    message: str

    @property
    def is_active(self) -> bool:
        """Whether it may still do something."""
        return self.status in ("PENDING", "RUNNING")


@dataclass(frozen=True)
class Node:
    """One living node: what it has in total, by Ray's names of resources."""

    resources: Mapping[str, float]


class RayCluster:
    """Ray's dashboard at `address`. Every method raises ClusterAwayError where it does not answer as expected."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def version(self) -> str:
        """Ray's version."""
        with _in_the_form_expected():
            return str((await self._json("GET", "/api/version"))["ray_version"])

    async def nodes(self) -> tuple[Node, ...]:
        """The living nodes."""
        with _in_the_form_expected():
            answer = await self._json("GET", "/api/v0/nodes?limit=10000")
            entries = answer["data"]["result"]["result"]
            return tuple(Node(entry["resources_total"] or {}) for entry in entries if entry["state"] == "ALIVE")

    async def jobs(self) -> dict[str, RayJob]:
        """All jobs that were submitted, by submission id."""
        with _in_the_form_expected():
            answer = await self._json("GET", "/api/jobs/")
            return {
                entry["submission_id"]: RayJob(entry["status"], entry["message"] or "")
                for entry in answer
                if entry["submission_id"] and entry["status"] in get_args(RayStatus)
            }

    async def submit(
        self, submission_id: str, entrypoint: str, resources: Mapping[str, object], metadata: Mapping[str, str]
    ) -> None:
        """Give Ray a job; Ray refuses a submission id that it knows."""
        body = {"submission_id": submission_id, "entrypoint": entrypoint, "metadata": dict(metadata), **resources}
        await self._json("POST", "/api/jobs/", body)

    async def stop(self, submission_id: str) -> None:
        """Ask a job to end: SIGTERM to its driver, SIGKILL some seconds later."""
        await self._json("POST", f"/api/jobs/{submission_id}/stop")

    async def logs(self, submission_id: str) -> str:
        """What the job's driver printed."""
        with _in_the_form_expected():
            return str((await self._json("GET", f"/api/jobs/{submission_id}/logs"))["logs"])

    async def _json(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        if self._session is None:  # aiohttp wants to be made inside a running loop
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        try:
            async with self._session.request(
                method, self._address + path, json=body, headers=_authorization()
            ) as response:
                if response.status == 200:
                    return await response.json()
                text = (await response.text()).strip()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ClusterAwayError from error
        logger.warning("Ray answered %s %s with %d: %s", method, path, response.status, text[-500:])
        raise ClusterAwayError


@contextmanager
def _in_the_form_expected() -> Iterator[None]:
    """The boundary where an answer of another form than Ray's becomes ClusterAwayError."""
    try:
        yield
    except (LookupError, TypeError) as error:
        logger.warning("Ray's dashboard answered in another form than expected: %r", error)
        raise ClusterAwayError from error


def _authorization() -> dict[str, str]:
    """Ray's token, from where Ray itself looks for it; read anew each time, as it may be rotated."""
    token = os.environ.get("RAY_AUTH_TOKEN", "")
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray/auth_token")
    if not token and path.is_file():
        token = path.read_text()
    return {"Authorization": f"Bearer {token.strip()}"} if token.strip() else {}
