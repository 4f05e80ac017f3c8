from services.prediction.description import model_statistics
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.processes.sums import sum_of
from services.prediction.statistics import BatchSize, Duration, Statistics


def answer(*versions: pb.ModelStatistics) -> pb.ModelStatisticsResponse:
    return pb.ModelStatisticsResponse(model_stats=versions)


def of(last_ms: int, count: int, *sizes: int) -> Statistics:
    each = Duration(count, 10 * count)
    return Statistics(
        last_inference_ms=last_ms,
        inference_count=2 * count,
        execution_count=count,
        success=each,
        batches=tuple(BatchSize(size, compute_infer=each) for size in sizes),
    )


def test_counts_and_times_are_added_and_the_last_inference_is_the_latest() -> None:
    own, other = model_statistics("iris", "3", of(7, 1, 1, 4)), model_statistics("iris", "3", of(5, 2, 4, 8))
    (total,) = sum_of([answer(own), answer(other)]).model_stats
    assert (total.last_inference, total.inference_count, total.execution_count) == (7, 6, 3)
    assert (total.inference_stats.success.count, total.inference_stats.success.ns) == (3, 30)
    batches = [(batch.batch_size, batch.compute_infer.count, batch.compute_infer.ns) for batch in total.batch_stats]
    assert batches == [(1, 1, 10), (4, 3, 30), (8, 2, 20)]


def test_one_alone_stays_as_it_is() -> None:
    alone = answer(model_statistics("iris", "3", of(7, 1, 1, 4)))
    assert sum_of([alone]) == alone


def test_versions_come_by_model_and_number() -> None:
    versions = [model_statistics(*each, Statistics()) for each in (("iris", "10"), ("iris", "9"), ("digits", "1"))]
    total = sum_of([answer(each) for each in versions])
    assert [(each.name, each.version) for each in total.model_stats] == [("digits", "1"), ("iris", "9"), ("iris", "10")]
