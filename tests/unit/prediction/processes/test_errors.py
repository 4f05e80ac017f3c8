import pickle

import pytest

from services.prediction.processes.errors import ProcessAwayError, ProcessRefusedError


@pytest.mark.parametrize("error", [ProcessAwayError(1), ProcessRefusedError(1, "version 2 was refused")])
def test_they_name_the_process_and_survive_pickle(error: Exception) -> None:
    assert "process 1" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
