"""The supervisor over real processes that do nothing but wait."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services.prediction.processes.supervisor import LONGEST_PAUSE_S, Supervisor, pause_s

DEADLINE_S = 20.0
WAITS = "import signal; signal.pause()"
LEAVES_ON_SECOND = """
import pathlib, signal, sys
signals = {signal.SIGTERM, signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
pathlib.Path(sys.argv[1]).touch()
signal.sigwait(signals); pathlib.Path(sys.argv[1]).unlink()
signal.sigwait(signals)
"""
PARENT = """
import os, subprocess, sys
child = "import os, sys; from services.prediction.processes.supervisor import die_with_parent as d; d(int(sys.argv[1]))"
child += "; print(os.getpid(), flush=True); import signal; signal.pause()"
subprocess.run([sys.executable, "-c", child, str(os.getpid())])
"""


def _python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.01)


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_a_killed_process_is_started_again_and_the_others_stay() -> None:
    ended: list[int] = []
    supervisor = Supervisor(lambda _: _python(WAITS), 2, ended.append)
    running = asyncio.create_task(supervisor.run())
    await _until(lambda: len(supervisor.pids) == 2)
    first, second = supervisor.pids[0], supervisor.pids[1]
    os.kill(first, signal.SIGKILL)
    await _until(lambda: supervisor.pids.get(0, first) != first)
    assert supervisor.pids[1] == second
    assert ended == [0]
    supervisor.signal(signal.SIGTERM)
    assert await asyncio.wait_for(running, DEADLINE_S) == 0
    assert supervisor.pids == {}


async def test_each_signal_reaches_each_process(tmp_path: Path) -> None:
    marks = [tmp_path / "0", tmp_path / "1"]
    supervisor = Supervisor(lambda number: _python(LEAVES_ON_SECOND, str(marks[number])), 2, lambda _: None)
    running = asyncio.create_task(supervisor.run())
    await _until(lambda: all(mark.exists() for mark in marks))
    supervisor.signal(signal.SIGTERM)
    await _until(lambda: not any(mark.exists() for mark in marks))
    assert not running.done()
    supervisor.signal(signal.SIGTERM)
    assert await asyncio.wait_for(running, DEADLINE_S) == 0


async def test_a_process_whose_settings_are_refused_ends_all_with_its_code() -> None:
    codes = [WAITS, "raise SystemExit(2)"]
    supervisor = Supervisor(lambda number: _python(codes[number]), 2, lambda _: None)
    assert await asyncio.wait_for(supervisor.run(), DEADLINE_S) == 2


async def test_a_process_that_refuses_its_settings_later_leaves_the_others_alone(tmp_path: Path) -> None:
    refuses_later = (
        "import pathlib, sys; p = pathlib.Path(sys.argv[1]); code = 1 + p.exists(); p.touch(); sys.exit(code)"
    )
    ended: list[int] = []
    commands = [_python(WAITS), _python(refuses_later, str(tmp_path / "lived"))]
    supervisor = Supervisor(lambda number: commands[number], 2, ended.append)
    running = asyncio.create_task(supervisor.run())
    await _until(lambda: len(ended) >= 3)
    assert 0 in supervisor.pids
    supervisor.signal(signal.SIGTERM)
    assert await asyncio.wait_for(running, DEADLINE_S) == 0
    assert set(ended[:3]) == {1}


async def test_a_cancelled_run_leaves_no_process() -> None:
    supervisor = Supervisor(lambda _: _python(WAITS), 2, lambda _: None)
    running = asyncio.create_task(supervisor.run())
    await _until(lambda: len(supervisor.pids) == 2)
    pids = list(supervisor.pids.values())
    running.cancel()
    await asyncio.wait({running}, timeout=DEADLINE_S)
    await _until(lambda: all(map(_is_gone, pids)))


async def test_a_process_dies_with_its_killed_parent() -> None:
    parent = await asyncio.create_subprocess_exec(*_python(PARENT), stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await asyncio.wait_for(parent.stdout.readline(), DEADLINE_S))
    assert not _is_gone(child)
    parent.kill()
    await parent.wait()
    await _until(lambda: _is_gone(child))


@pytest.mark.parametrize(("deaths", "expected"), [(0, 0.1), (1, 0.2), (3, 0.8), (50, LONGEST_PAUSE_S)])
def test_the_pause_doubles_up_to_the_longest(deaths: int, expected: float) -> None:
    assert pause_s(deaths) == pytest.approx(expected)
