"""What holds for all tests, however they were started."""

import signal

import pytest


def pytest_configure() -> None:
    """Take SIGINT again where whoever started the tests had it ignored: children inherit that, and Ctrl-C is tested."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
