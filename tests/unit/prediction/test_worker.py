import gc
import threading
import weakref

import pytest

from services.prediction import worker as worker_module
from services.prediction.worker import Worker


def test_tasks_run_one_after_another_and_one_that_fails_does_not_stop_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker, done, ended = Worker("w"), list[int](), threading.Event()
    worker.do(lambda: done.append(1))
    worker.do(lambda: done.append(1 // 0))
    worker.do(lambda: done.append(2))
    worker.do(ended.set)
    assert ended.wait(10)
    assert done == [1, 2]
    assert "w: a task failed" in caplog.text


def test_the_thread_leaves_when_idle_keeps_nothing_alive_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "IDLE_S", 0.05)
    threads: list[threading.Thread] = []
    worker = Worker("w")
    worker.do(lambda: threads.append(threading.current_thread()))
    while not threads:
        pass
    threads[0].join(10)
    assert not threads[0].is_alive()
    again = threading.Event()
    worker.do(again.set)
    assert again.wait(10)
    gone = weakref.ref(worker)
    del worker
    for thread in threading.enumerate():
        if thread.name == "w":
            thread.join(10)
    gc.collect()
    assert gone() is None
