"""The targets are judged from whatever cells were measured."""

from tests.benchmarks.serving.contestants import REFERENCES
from tests.benchmarks.serving.figures import Key, summarise
from tests.benchmarks.serving.targets import verdicts
from tests.benchmarks.verdicts import Verdict
from tests.unit.benchmarks.test_figures import measurement


def test_each_target_is_a_ratio_within_the_run() -> None:
    figures = {
        "drivetrain-native": (60_000.0, 2.0),
        "drivetrain-grpcio": (1.0, 99.0),
        "triton-1": (10_000.0, 4.0),
        "triton-2": (20_000.0, 8.0),
        "mlserver": (1_000.0, 90.0),
        "bare-transport": (120_000.0, 1.0),
    }
    cells = summarise(measurement(Key("mlp", 64, name), rate, p99) for name, (rate, p99) in figures.items())
    found = {verdict.figure: verdict for verdict in verdicts(cells, REFERENCES)}
    assert {name: (each.reached, each.holds) for name, each in found.items()} == {
        "req/s to Triton's, mlp, 64 in flight": (3.0, True),
        "p99 to Triton's, mlp, 64 in flight": (0.5, True),
        "req/s to mlserver's, mlp, 64 in flight": (60.0, True),
        "req/s to bare-transport's, mlp, 64 in flight": (0.5, False),
    }


def test_a_cell_without_a_target_of_its_own_is_judged_by_its_p99() -> None:
    cells = summarise(
        [measurement(Key("cnn", 16, "drivetrain"), 1, 5.0), measurement(Key("cnn", 16, "triton-1"), 9, 4.0)]
    )
    assert verdicts(cells, REFERENCES) == [
        Verdict("p99 to Triton's, cnn, 16 in flight", 1.25, 1.0, less_is_better=True)
    ]


def test_without_the_service_or_without_peers_nothing_is_judged() -> None:
    assert verdicts(summarise([measurement(Key("mlp", 64, "triton-1"), 1)]), REFERENCES) == []
    assert verdicts(summarise([measurement(Key("mlp", 64, "drivetrain"), 1)]), REFERENCES) == []
