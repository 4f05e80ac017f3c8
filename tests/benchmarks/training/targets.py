"""What training is to reach, as ratios of figures from one and the same run."""

from collections.abc import Iterator

from tests.benchmarks.training.figures import Cells, Key, Scaling, Starts
from tests.benchmarks.verdicts import Verdict

OURS, PLAIN, FP32 = "drivetrain", "plain", "drivetrain-fp32"

TIMES_FASTER = {
    "mlp": {PLAIN: 2.0, "lightning": 3.5, "keras": 6.0},
    "cnn": {PLAIN: 2.2, "keras": 1.8},
    "lstm": {PLAIN: 1.0},
}
TIMES_MEMORY = 1.3
"""Of the plain loop's."""
LOSS_DIFFERENCE = 0.05
"""Of the final losses: everybody draws another order of the batches."""
ACCURACY_POINTS = 0.3
"""What bf16 may cost."""
START_SHARE = 1 / 3
"""Of a bare TorchTrainer's start."""
CURVE_DIFFERENCE = 0.01
"""Of a loss, between one worker's and two workers': the last bits of float32 sums, grown over a few hundred steps."""


def verdicts(cells: Cells) -> list[Verdict]:
    """Every target that the measured cells say something about."""
    return [verdict for work in TIMES_FASTER for verdict in _of_work(cells, work)]


def start_verdict(starts: Starts) -> Verdict:
    """Whether a job starts soon enough."""
    reached = starts.drivetrain_s / starts.torch_trainer_s
    return Verdict("start to first step, to a bare TorchTrainer's", reached, START_SHARE, less_is_better=True)


def scaling_verdict(scaling: Scaling) -> Verdict:
    """Whether workers give one worker's curve."""
    figure = "largest difference of a loss, 2 workers from 1, in %"
    return Verdict(figure, 100 * scaling.largest_difference, 100 * CURVE_DIFFERENCE, less_is_better=True)


def _of_work(cells: Cells, work: str) -> Iterator[Verdict]:
    ours, plain, fp32 = (cells.get(Key(work, name)) for name in (OURS, PLAIN, FP32))
    if ours is None:
        return
    for name, needed in TIMES_FASTER[work].items():
        if other := cells.get(Key(work, name)):
            yield Verdict(f"{work}: times faster a step than {name}", other.ms_a_step / ours.ms_a_step, needed)
    if plain:
        memory, losses = ours.peak_bytes / plain.peak_bytes, abs(ours.loss - plain.loss)
        yield Verdict(f"{work}: peak memory to the plain loop's", memory, TIMES_MEMORY, less_is_better=True)
        yield Verdict(f"{work}: final loss apart from the plain loop's", losses, LOSS_DIFFERENCE, less_is_better=True)
    if fp32:
        points = 100 * (fp32.accuracy - ours.accuracy)
        yield Verdict(f"{work}: points of accuracy below fp32", points, ACCURACY_POINTS, less_is_better=True)
