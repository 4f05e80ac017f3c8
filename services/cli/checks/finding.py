"""What a check found, and running many checks at once within a time limit."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

State = Literal["ok", "absent", "failed"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's: `absent` is what is neither there nor asked for."""

    name: str
    state: State
    detail: str
    advice: str = ""


Check: TypeAlias = Callable[[], list[Finding]]


def run_checks(checks: Mapping[str, Check], limit_s: float) -> list[Finding]:
    """The findings of all checks in their order; the checks run at once and get `limit_s` seconds together.

    One that takes longer is left to a thread that ends with the process.
    """
    found: dict[str, list[Finding]] = {}

    def run(name: str, check: Check) -> None:
        try:
            found[name] = check()
        except Exception as error:  # noqa: BLE001 - a check that breaks must not hide the others
            found[name] = [Finding(name, "failed", f"the check itself broke: {type(error).__name__}: {error}")]

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in checks.items()]
    for thread in threads:
        thread.start()
    until_s = time.monotonic() + limit_s
    for thread in threads:
        thread.join(max(0.0, until_s - time.monotonic()))
    late = f"no result within {limit_s:g} s"
    advice = "see whether the machine it names is reachable and not overloaded"
    return [each for name in checks for each in found.get(name, [Finding(name, "failed", late, advice)])]
