"""What a finished job came to, in the same words wherever it ran."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pipelines.pipeline import Outcome
    from services.training.pb import training_pb2 as pb


@dataclass(frozen=True)
class Result:
    """A registered version, how good it is, and whether it is champion."""

    model: str
    version: str
    run_id: str
    promoted: bool
    reason: str
    best_epoch: int
    test: Mapping[str, float]
    seconds: float

    @classmethod
    def of_local(cls, outcome: "Outcome") -> Self:
        """Of a job that ran here."""
        return cls(
            model=outcome.model,
            version=outcome.version,
            run_id=outcome.run_id,
            promoted=outcome.decision.promote,
            reason=outcome.decision.reason,
            best_epoch=outcome.best_epoch,
            test=outcome.test.metrics,
            seconds=outcome.seconds,
        )

    @classmethod
    def of_remote(cls, job: "pb.Job", outcome: "pb.Outcome") -> Self:
        """Of a job that ran on the training service."""
        return cls(
            model=job.model,
            version=outcome.version,
            run_id=job.id,
            promoted=outcome.promoted,
            reason=outcome.reason,
            best_epoch=outcome.best_epoch,
            test=outcome.test_metrics,
            seconds=outcome.seconds,
        )

    def describe(self) -> str:
        """Three lines of text, with Rich's markup."""
        held_out = ", ".join(f"{name} {value:.4f}" for name, value in sorted(self.test.items()))
        verdict = "is champion" if self.promoted else "is not champion"
        return (
            f"[bold green]{self.model} version {self.version}[/] trained in {self.seconds:.1f} s "
            f"(best epoch {self.best_epoch})\n"
            f"  test: {held_out}\n"
            f"  {verdict}: {self.reason}; run {self.run_id}"
        )
