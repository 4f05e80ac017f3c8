"""What holds for all tests, however they were started."""

import signal
from pathlib import Path

import pytest

ON_RAY = [Path(__file__).parent / folder for folder in ("integration/pipelines", "integration/training", "e2e")]


def pytest_configure() -> None:
    """Take SIGINT again where whoever started the tests had it ignored: children inherit that, and Ctrl-C is tested."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever starts a Ray is slow, some fifteen seconds before the first test."""
    for item in items:
        if any(folder in item.path.parents for folder in ON_RAY):
            item.add_marker(pytest.mark.slow)


class _AtOnce:
    """Prints why a test failed as soon as it has: a run of half an hour that is broken off has told it then."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.write_sep("_", f"{report.nodeid} ({report.when})")
            self._terminal.write_line(report.longreprtext)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Nothing to print in the processes of pytest-xdist, which tell the one that started them."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(_AtOnce(terminal))
