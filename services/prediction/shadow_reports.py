"""Tells the challenger's MLflow run how it does as a shadow. That MLflow is away, or hangs, matters to nobody."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

from pipelines.errors import RegistryError
from services.prediction.shadow_metrics import Pair
from services.prediction.shadowing import Report, Shadowing
from services.rpc.background import in_daemon_thread

logger = logging.getLogger(__name__)

REPORT_S = 30.0
"""Seconds between two reports, and those after which one is given up."""


class RunLog(Protocol):
    """Who writes metrics to a run."""

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Blocks, and raises RegistryError."""


class ShadowReports:
    """Writes the figures of each pair that has news."""

    def __init__(self, shadowing: Shadowing, log: RunLog) -> None:
        self._shadowing, self._log = shadowing, log
        self._told: dict[Pair, Mapping[str, float]] = {}
        self._away = False

    async def run(self) -> None:
        """Report until cancelled; nothing that goes wrong ends it."""
        while True:
            await asyncio.sleep(REPORT_S)
            for report in self._shadowing.reports():
                if self._told.get(report.pair) != report.figures:
                    await self._tell(report)

    async def _tell(self, report: Report) -> None:
        try:
            async with asyncio.timeout(REPORT_S):
                await in_daemon_thread(self._log.log_metrics, report.run_id, report.figures)
        except (RegistryError, TimeoutError) as error:
            if not self._away:
                logger.warning("run %s cannot be told of its shadow: %s", report.run_id, error or "no answer")
            self._away = True
        except Exception:
            logger.exception("a shadow's report failed; trying again")
        else:
            self._told[report.pair], self._away = report.figures, False
