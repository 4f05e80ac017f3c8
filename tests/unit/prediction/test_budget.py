import pytest

from services.prediction.budget import Budget
from services.prediction.errors import MemoryFullError


def test_what_is_given_back_can_be_taken_again() -> None:
    budget = Budget(10)
    budget.take(6)
    with pytest.raises(MemoryFullError, match="10 bytes"):
        budget.take(5)
    budget.take(4)
    budget.give_back(6)
    budget.take(5)
