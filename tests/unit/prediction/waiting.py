"""A call that remembers what became of it."""

from services.prediction.calls import DEFAULT_PRIORITY, Arrays, Call, Lane, Run

LANE = Lane(DEFAULT_PRIORITY, ((2,),))
"""Of a request without a priority for rows of two numbers."""


class Waiting(Call):
    """Keeps its rows, or the error."""

    __slots__ = ("error", "outputs")

    outputs: Arrays
    error: Exception

    def answer(self, run: Run, start: int) -> None:
        self.outputs = run.rows(start, start + self.num_rows)

    def refuse(self, error: Exception) -> None:
        self.error = error
