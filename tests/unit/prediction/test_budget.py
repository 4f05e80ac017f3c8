from services.prediction.budget import Budget


def test_what_is_given_back_can_be_taken_again() -> None:
    budget = Budget(10)
    assert budget.take(6)
    assert not budget.take(5)
    assert budget.take(4)
    budget.give_back(6)
    assert budget.take(5)


def test_nobody_holds_more_than_what_is_left_for_the_others() -> None:
    budget = Budget(16)
    assert budget.take(4)
    assert budget.take(4, held_bytes=4)
    assert not budget.take(1, held_bytes=8)
    assert budget.take(4)
    assert not budget.take(4, held_bytes=4)
    assert budget.take(4), "alone, a large one fits"
