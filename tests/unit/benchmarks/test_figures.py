"""Medians over the repetitions, and the reference that ratios are taken against."""

import pytest

from tests.benchmarks.serving.figures import Key, Measurement, reference, summarise
from tests.benchmarks.serving.load import Load

KEY = Key("mlp", 64, "drivetrain")
REFERENCES = ("triton-1", "triton-2")


def measurement(
    key: Key, rate: float, p99_ms: float = 1.0, repetition: int = 0, errors: int = 0, problems: tuple[str, ...] = ()
) -> Measurement:
    return Measurement(key, repetition, Load(rate, p99_ms / 2, p99_ms, 1000, errors), 5, problems)


def test_medians_are_taken_figure_by_figure() -> None:
    runs = [(100.0, 3.0), (900.0, 1.0), (300.0, 2.0)]
    cells = summarise(measurement(KEY, rate, p99, number) for number, (rate, p99) in enumerate(runs))
    assert (cells[KEY].requests_per_second, cells[KEY].p50_ms, cells[KEY].p99_ms) == (300.0, 1.0, 2.0)


def test_errors_and_wrong_answers_add_up() -> None:
    cells = summarise([measurement(KEY, 1, errors=2), measurement(KEY, 1, errors=1, problems=("off by 0.1",))])
    assert (cells[KEY].errors, cells[KEY].wrong, cells[KEY].checked) == (3, 1, 10)


@pytest.mark.parametrize(("errors", "problems", "sound"), [(0, (), True), (1, (), False), (0, ("off",), False)])
def test_a_cell_is_sound_without_errors_and_wrong_answers(errors: int, problems: tuple[str, ...], sound: bool) -> None:
    assert summarise([measurement(KEY, 1, errors=errors, problems=problems)])[KEY].sound is sound


def test_the_reference_is_the_better_one_in_each_figure() -> None:
    one, two = (Key("mlp", 64, name) for name in REFERENCES)
    elsewhere = Key("mlp", 16, "triton-1")
    cells = summarise([measurement(one, 100, 1.0), measurement(two, 200, 4.0), measurement(elsewhere, 900, 0.1)])
    best = reference(cells, "mlp", 64, REFERENCES)
    assert best is not None
    assert (best.requests_per_second, best.p99_ms) == (200, 1.0)


def test_there_is_no_reference_where_none_was_measured() -> None:
    assert reference(summarise([measurement(KEY, 1)]), "mlp", 64, REFERENCES) is None
