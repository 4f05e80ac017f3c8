import threading
import time

from services.cli.checks.finding import Finding, run_checks


def test_findings_keep_the_order_of_the_checks() -> None:
    started = threading.Event()

    def slow() -> list[Finding]:
        assert started.wait(10)
        return [Finding("slow", "ok", "1"), Finding("slow: more", "failed", "2", "do this")]

    def quick() -> list[Finding]:
        started.set()
        return [Finding("quick", "absent", "3")]

    found = run_checks({"slow": slow, "quick": quick}, limit_s=20)
    assert [each.name for each in found] == ["slow", "slow: more", "quick"]


def test_a_check_that_hangs_or_breaks_is_a_failure_of_its_own() -> None:
    forever = threading.Event()

    def hangs() -> list[Finding]:
        forever.wait()
        return []

    def breaks() -> list[Finding]:
        raise ValueError("bad")

    begun = time.monotonic()
    found = run_checks({"hangs": hangs, "breaks": breaks, "works": lambda: [Finding("works", "ok", "")]}, limit_s=0.2)
    assert time.monotonic() - begun < 5
    forever.set()
    assert [(each.name, each.state) for each in found] == [("hangs", "failed"), ("breaks", "failed"), ("works", "ok")]
    assert found[0].detail == "no result within 0.2 s"
    assert found[1].detail == "the check itself broke: ValueError: bad"
