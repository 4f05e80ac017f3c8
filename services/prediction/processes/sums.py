"""The statistics of several processes as those of one."""

from collections.abc import Iterable, Sequence

from services.prediction.pb import open_inference_pb2 as pb

DURATIONS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")
OF_BATCHES = ("compute_input", "compute_infer", "compute_output")


def sum_of(answers: Iterable[pb.ModelStatisticsResponse]) -> pb.ModelStatisticsResponse:
    """One entry for each model and version, in their order; the last inference is the latest."""
    sums: dict[tuple[str, str], pb.ModelStatistics] = {}
    for answer in answers:
        for each in answer.model_stats:
            target = sums.setdefault(
                (each.name, each.version), pb.ModelStatistics(name=each.name, version=each.version)
            )
            _add(target, each)
    return pb.ModelStatisticsResponse(model_stats=[sums[key] for key in sorted(sums, key=_by_number)])


def _add(target: pb.ModelStatistics, each: pb.ModelStatistics) -> None:
    target.last_inference = max(target.last_inference, each.last_inference)
    target.inference_count += each.inference_count
    target.execution_count += each.execution_count
    _add_durations(target.inference_stats, each.inference_stats, DURATIONS)
    batches = {batch.batch_size: batch for batch in target.batch_stats}
    for batch in each.batch_stats:
        if batch.batch_size in batches:
            _add_durations(batches[batch.batch_size], batch, OF_BATCHES)
        else:
            target.batch_stats.append(batch)
    target.batch_stats.sort(key=lambda batch: batch.batch_size)


def _add_durations(
    target: pb.InferStatistics | pb.InferBatchStatistics,
    each: pb.InferStatistics | pb.InferBatchStatistics,
    names: Sequence[str],
) -> None:
    for name in names:
        total, more = getattr(target, name), getattr(each, name)
        total.count += more.count
        total.ns += more.ns


def _by_number(key: tuple[str, str]) -> tuple[str, int]:
    return key[0], int(key[1])
