"""A call that remembers what became of it."""

from services.prediction.calls import Arrays, Call, Run


class Waiting(Call):
    """Keeps its rows, or the error."""

    __slots__ = ("error", "outputs")

    outputs: Arrays
    error: Exception

    def answer(self, run: Run, start: int) -> None:
        self.outputs = run.rows(start, start + self.num_rows)

    def refuse(self, error: Exception) -> None:
        self.error = error
