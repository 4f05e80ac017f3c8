"""Ray Data as what reads pieces of files: in tasks, in order, with a bounded part of the object store."""

import logging
import pickle
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pyarrow as pa
import ray.data
from ray.data import DataContext, ExecutionResources
from ray.data.exceptions import SystemException
from ray.exceptions import RayError

from pipelines.data.plans import BLOCK_BYTES, Piece
from pipelines.errors import DataError, ResourceError, last_line

Result = TypeVar("Result")

_STORE_BYTES = 128 * 2**20
"""What may wait in the object store: enough that tasks and the driver seldom wait for each other."""
_COLUMN = "bytes"


def results_of(pieces: list[Piece], work: Callable[[Piece], Iterator[Result]]) -> Iterator[Result]:
    """What `work` yields for each piece, in the order of the pieces, as it comes. Ray must be there.

    Raises the first DataError that `work` raises, and ResourceError if Ray cannot carry it out.
    """
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with DataContext.current(_context()):
        given = ray.data.from_items([pickle.dumps(piece) for piece in pieces], override_num_blocks=len(pieces))
        done = given.map_batches(_Task(work), batch_size=1, batch_format="pyarrow")
        batches = iter(done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1))
        while (batch := _next(batches)) is not None:
            for value in batch.column(_COLUMN):
                result = pickle.loads(value.as_buffer())
                if isinstance(result, DataError):
                    raise result
                yield result


def _next(batches: Iterator[pa.Table]) -> pa.Table | None:
    try:
        return next(batches, None)
    except (RayError, SystemException) as error:
        raise ResourceError(f"Ray Data could not read the data to its end: {last_line(error)}") from error


class _Task:
    """The work on one piece: what it yields leaves the task at once, a DataError as the last result."""

    def __init__(self, work: Callable[[Piece], Iterator[Any]]) -> None:
        self._work = work

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        for item in batch.column("item"):
            try:
                for result in self._work(pickle.loads(item.as_buffer())):
                    yield _packed(result)
            except DataError as error:
                yield _packed(error)


def _packed(result: object) -> pa.Table:
    return pa.table({_COLUMN: pa.array([pickle.dumps(result, protocol=5)], pa.large_binary())})


def _context() -> DataContext:
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = BLOCK_BYTES
    context.execution_options.preserve_order = True
    context.execution_options.resource_limits = ExecutionResources(object_store_memory=_STORE_BYTES)
    return context
