"""What holds for all tests, however they were started."""

import signal


def pytest_configure() -> None:
    """Take SIGINT again where whoever started the tests had it ignored: children inherit that, and Ctrl-C is tested."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
