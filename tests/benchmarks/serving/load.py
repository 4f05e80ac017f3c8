"""The load: h2load sends one request over and over, and what it prints and logs becomes figures.

h2load takes every answered HTTP request for a success, gRPC errors among them. Those carry no message, so they show in
the bytes of DATA: each good answer to the same request has the same size.
"""

import ctypes.util
import re
import shutil
import statistics
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.serving.contestant import ALLOCATOR
from tests.benchmarks.serving.models import Model
from tests.benchmarks.serving.server import METHOD, Server

_HEADERS = ("-H", "content-type: application/grpc", "-H", "te: trailers")
_FINISHED = re.compile(r"finished in .*?, ([\d.]+) req/s")
_REQUESTS = re.compile(r"requests: .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout")
_DATA = re.compile(r"traffic: .*\((\d+)\) data")


MAX_IN_FLIGHT = 1000
"""Requests on one connection; servers allow hardly more."""


class LoadError(Exception):
    """What it takes is missing, or h2load did not do its work."""


@dataclass(frozen=True)
class Load:
    """How the load fared."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    requests: int
    errors: int
    """Requests without a good answer, gRPC errors included."""


def check_installed() -> None:
    """Raise LoadError unless h2load and the servers' allocator are there."""
    if shutil.which("h2load") is None:
        raise LoadError("h2load is not installed; on Debian and Ubuntu: apt-get install nghttp2-client")
    if ctypes.util.find_library("jemalloc") != ALLOCATOR:
        raise LoadError(f"{ALLOCATOR} is not installed; on Debian and Ubuntu: apt-get install libjemalloc2")


def drive(server: Server, model: Model, in_flight: int, seconds: int, connections: int, scratch: Path) -> Load:
    """Keep `in_flight` one-row requests under way for so many seconds, twice. Raises LoadError."""
    connections = min(connections, in_flight)
    options = (f"-c{connections}", f"-m{in_flight // connections}", f"-D{seconds}")
    # The log costs h2load a tenth of what two cores can do: the rate is that of a run without it.
    rate, _ = _run(server, model, options, seconds, scratch)
    timed, latencies_ms = _run(server, model, options, seconds, scratch, logged=True)
    return load_of([rate, timed], latencies_ms)


def drive_at(server: Server, model: Model, rate: int, seconds: int, scratch: Path) -> Load:
    """Send `rate` one-row requests a second, answered or not, in bursts of a hundredth of that. Raises LoadError."""
    options = ("-c1", f"-m{MAX_IN_FLIGHT}", f"--rps={rate}", f"-D{seconds}")
    timed, latencies_ms = _run(server, model, options, seconds, scratch, logged=True)
    return load_of([timed], latencies_ms)


def _run(
    server: Server, model: Model, options: Sequence[str], seconds: int, scratch: Path, *, logged: bool = False
) -> tuple["Count", list[float]]:
    message, log = scratch / "request.bin", scratch / "h2load.tsv"
    message.write_bytes(framed(model.request().SerializeToString()))
    log.write_text("")
    logging = (f"--log-file={log}",) if logged else ()
    printed = _printed(["-t1", f"-d{message}", *logging, *options, f"http://{server.address}{METHOD}"], seconds)
    return read_count(printed, server.answer_bytes), read_latencies(log.read_text())


def _printed(arguments: Sequence[str], seconds: int) -> str:
    command = ["h2load", *_HEADERS, *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if finished.returncode:
        raise LoadError(f"h2load ended with {finished.returncode}: {finished.stdout}{finished.stderr}")
    return finished.stdout


def framed(message: bytes) -> bytes:
    """A message as gRPC puts it into HTTP/2 DATA: no compression, its length, itself."""
    return struct.pack(">BI", 0, len(message)) + message


@dataclass(frozen=True)
class Count:
    """What h2load prints of one run."""

    requests_per_second: float
    requests: int
    errors: int


def read_count(printed: str, answer_bytes: int) -> Count:
    """How many requests there were, and how many without a good answer. Raises LoadError if that is not understood."""
    finished, requests, data = (pattern.search(printed) for pattern in (_FINISHED, _REQUESTS, _DATA))
    if finished is None or requests is None or data is None:
        raise LoadError(f"h2load printed what is not understood:\n{printed}")
    done, succeeded, failed, errored, timed_out = map(int, requests.groups())
    errors = max(failed, errored, timed_out, done - succeeded) + bad_answers(succeeded, int(data[1]), answer_bytes)
    return Count(float(finished[1]), done, errors)


def load_of(runs: Sequence[Count], latencies_ms: Sequence[float]) -> Load:
    """The rate of the first run, which kept no log if there are two, and what went wrong in any. Raises LoadError."""
    if len(latencies_ms) < 2:
        raise LoadError("h2load made no requests")
    centiles = statistics.quantiles(latencies_ms, n=100, method="inclusive")
    return Load(
        runs[0].requests_per_second,
        p50_ms=centiles[49],
        p99_ms=centiles[98],
        requests=sum(run.requests for run in runs),
        errors=sum(run.errors for run in runs),
    )


def bad_answers(answered: int, data_bytes: int, answer_bytes: int) -> int:
    """How many of the answers cannot have been good ones: an error has no DATA, and a wrong size is wrong too."""
    good, rest = divmod(data_bytes, answer_bytes)
    return abs(answered - good) + (1 if rest else 0)


def read_latencies(log: str) -> list[float]:
    """Milliseconds of every answered request: the third column, in µs, of the lines `start, status, duration`."""
    rows = (line.split("\t") for line in log.splitlines())
    return [int(row[2]) / 1000 for row in rows if len(row) >= 3 and row[1] == "200"]
