"""The sum of several processes' pages, over real pages of `Metrics`."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from services.prediction.metrics import Metrics
from services.prediction.processes.totals import Totals

MODEL = {"model": "iris", "version": "3"}
ROWS, PENDING, LOADS = "nv_inference_count", "nv_inference_pending_request_count", "drivetrain_model_loads_total"


def _page(rows: int, pending: int = 0, loads: int = 1) -> str:
    metrics = Metrics()
    version = metrics.of_version("iris", "3")
    version.num_rows, version.pending = rows, pending
    version.request_histogram[0] = rows
    version.failed(asyncio.CancelledError())
    metrics.loads.labels("iris").inc(loads)
    return generate_latest(metrics.registry).decode()


def _registry(totals: Totals) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(totals)
    return registry


def test_every_sample_is_the_sum_over_the_processes() -> None:
    totals = Totals()
    totals.told(0, _page(rows=2, pending=1))
    totals.told(1, _page(rows=5, pending=3))
    registry = _registry(totals)
    assert registry.get_sample_value(ROWS, MODEL) == 7
    assert registry.get_sample_value(PENDING, MODEL) == 4
    assert registry.get_sample_value(LOADS, {"model": "iris"}) == 2
    assert registry.get_sample_value("nv_inference_request_failure", {**MODEL, "reason": "CANCELED"}) == 2
    assert registry.get_sample_value("drivetrain_request_duration_seconds_count", MODEL) == 7
    assert registry.get_sample_value("drivetrain_request_duration_seconds_bucket", {**MODEL, "le": "+Inf"}) == 7


def test_the_page_of_one_process_stays_as_it_is_but_for_the_times_of_creation() -> None:
    totals, page = Totals(), _page(rows=2, pending=1)
    totals.told(0, page)
    lines = [line for line in page.splitlines() if "_created" not in line]
    assert generate_latest(_registry(totals)).decode().splitlines() == lines


def test_a_later_page_takes_the_place_of_the_earlier() -> None:
    totals = Totals()
    totals.told(0, _page(rows=2))
    totals.told(0, _page(rows=3))
    assert _registry(totals).get_sample_value(ROWS, MODEL) == 3


def test_what_an_ended_process_counted_stays_and_what_it_held_goes() -> None:
    totals = Totals()
    registry = _registry(totals)
    for rows in (2, 4):
        totals.told(0, _page(rows=rows, pending=9))
        totals.ended(0)
    assert registry.get_sample_value(ROWS, MODEL) == 6
    assert registry.get_sample_value(PENDING, MODEL) is None
    totals.told(0, _page(rows=1, pending=1))
    assert registry.get_sample_value(ROWS, MODEL) == 7
    assert registry.get_sample_value(PENDING, MODEL) == 1
    assert registry.get_sample_value(ROWS, MODEL) == 7  # to look changes nothing


def test_a_process_that_ends_before_it_told_anything_leaves_nothing() -> None:
    totals = Totals()
    totals.ended(0)
    assert list(totals.collect()) == []


def test_what_is_no_page_is_refused_and_the_last_page_stays() -> None:
    totals = Totals()
    totals.told(0, _page(rows=2))
    with pytest.raises(ValueError, match="could not convert"):
        totals.told(0, "nv_inference_count{ 1")
    assert _registry(totals).get_sample_value(ROWS, MODEL) == 2
