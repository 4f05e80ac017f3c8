from services.prediction.budget import Budget


def test_what_is_given_back_can_be_taken_again() -> None:
    budget = Budget(10)
    assert budget.take(6)
    assert not budget.take(5)
    assert budget.take(4)
    budget.give_back(6)
    assert budget.take(5)
