"""Every row of the updates comes once, in order, however the slabs are cut."""

from itertools import chain

import pytest
import torch

from pipelines.training.batches import Batches
from pipelines.training.slabs import _SLAB_BYTES, Chunk, Part, slabs


def part(num_rows: int, *row: int) -> Part:
    """Rows whose values and targets are their numbers."""
    numbers = torch.arange(num_rows)
    return Part(numbers.float().reshape(-1, *(1 for _ in row)).expand(num_rows, *row).contiguous(), numbers)


def rows_of(chunk: Chunk) -> list[int]:
    assert torch.equal(chunk.inputs[0].flatten(1)[:, 0].long(), chunk.targets)
    return [int(row) for row in chunk.targets]


def test_small_rows_are_gathered_all_at_once() -> None:
    batches = Batches(50, 8, 0, 1)
    (slab,) = slabs(part(50, 3), batches.stochastic(1, 1), 8)
    expected = [update.chunks[0].tolist() for update in batches.stochastic(1, 1)]
    assert [rows_of(chunk) for chunk in slab.chunks] == expected
    assert [(chunk.num_rows, chunk.last) for chunk in slab.chunks] == [(8, True)] * 6 + [(2, True)]
    assert slab.targets.tolist() == list(chain.from_iterable(expected))


def test_large_rows_come_in_several_slabs() -> None:
    row = _SLAB_BYTES // 4 // 10  # ten rows fill a slab
    found = list(slabs(part(35, row), Batches(35, 4, 0, 1).stochastic(1, 1), 4))
    assert [len(slab.targets) for slab in found] == [12, 12, 11]
    assert sorted(int(row) for slab in found for row in slab.targets) == list(range(35))


def test_an_update_may_go_through_several_slabs() -> None:
    row = _SLAB_BYTES // 4 // 10
    found = list(slabs(part(25, row), Batches(25, 10, 0, 1).full(), 10))
    assert [chunk.last for slab in found for chunk in slab.chunks] == [False, False, True]
    assert {chunk.num_rows for slab in found for chunk in slab.chunks} == {25}
    assert len(found) == 3


def test_a_worker_without_rows_takes_part_in_the_step() -> None:
    (slab,) = slabs(part(2, 3), Batches(2, 5, 2, 3).stochastic(0, 1), 2)
    (chunk,) = slab.chunks
    assert (chunk.inputs[0].shape, chunk.num_rows, chunk.last) == ((0, 3), 2, True)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_have_their_channels_last_in_memory(channels: int) -> None:
    (slab,) = slabs(part(6, channels, 4, 5), Batches(6, 4, 0, 1).full(), 4)
    for chunk in slab.chunks:
        assert chunk.inputs[0].shape[1:] == (channels, 4, 5)
        assert chunk.inputs[0].stride()[1:] == (1, 5 * channels, channels)
        rows_of(chunk)
