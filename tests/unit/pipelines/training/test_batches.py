"""Whose rows are whose."""

from itertools import chain, groupby

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.training.batches import Batches, Update


def rows_of(update: Update) -> list[int]:
    return torch.cat(update.chunks).tolist()


def team(num_rows: int, batch_size: int, size: int) -> list[Batches]:
    return [Batches(num_rows, batch_size, rank, size) for rank in range(size)]


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 60), st.integers(1, 70), st.integers(1, 6), st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_shares_are_disjoint_and_cover_each_batch(
    num_rows: int, batch_size: int, size: int, seed: int, epoch: int
) -> None:
    alone = list(Batches(num_rows, batch_size, 0, 1).stochastic(seed, epoch))
    together = [list(member.stochastic(seed, epoch)) for member in team(num_rows, batch_size, size)]
    assert sorted(chain.from_iterable(map(rows_of, alone))) == list(range(num_rows))
    for batch, *shares in zip(alone, *together, strict=True):
        assert batch.num_rows == len(rows_of(batch)) <= batch_size
        assert sorted(chain.from_iterable(map(rows_of, shares))) == sorted(rows_of(batch))
        assert {share.num_rows for share in shares} == {batch.num_rows}
        lengths = [len(rows_of(share)) for share in shares]
        assert max(lengths) - min(lengths) <= 1


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 60), st.integers(1, 70), st.integers(1, 6))
def test_the_full_set_is_one_update_in_chunks(num_rows: int, batch_size: int, size: int) -> None:
    updates = [list(member.full()) for member in team(num_rows, batch_size, size)]
    assert all(len(of_member) == 1 for of_member in updates)
    assert {update.num_rows for (update,) in updates} == {num_rows}
    assert {len(update.chunks) for (update,) in updates} == {-(-num_rows // batch_size)}
    assert all(len(chunk) <= batch_size for (update,) in updates for chunk in update.chunks)
    assert sorted(chain.from_iterable(rows_of(update) for (update,) in updates)) == list(range(num_rows))


def order(seed: int, epoch: int) -> list[int]:
    return list(chain.from_iterable(map(rows_of, Batches(40, 7, 0, 1).stochastic(seed, epoch))))


def test_seed_and_epoch_decide_the_order() -> None:
    assert order(1, 1) == order(1, 1)
    orders = [order(1, 1), order(1, 2), order(2, 1), order(2, 2), list(range(40))]
    assert len({tuple(rows) for rows in orders}) == len(orders)


def test_the_largest_seed_will_do() -> None:
    assert sorted(order(2**32 - 1, 1_000_000)) == list(range(40))


@pytest.mark.parametrize(("rank", "rows"), [(0, 1), (1, 1), (2, 0)])
def test_with_fewer_rows_than_workers_some_take_part_with_none(rank: int, rows: int) -> None:
    (update,) = Batches(2, 5, rank, 3).stochastic(0, 1)
    assert [len(chunk) for chunk in update.chunks] == [rows]
    assert update.num_rows == 2


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(any), st.integers(1, 40), st.integers(1, 4))
def test_groups_follow_one_another_and_batches_run_over_their_ends(
    groups: list[int], batch_size: int, size: int
) -> None:
    members = [Batches(sum(groups), batch_size, rank, size, tuple(groups)) for rank in range(size)]
    alone = list(Batches(sum(groups), batch_size, 0, 1, tuple(groups)).stochastic(1, 1))
    assert [update.num_rows for update in alone[:-1]] == [batch_size] * (len(alone) - 1)
    rows = list(chain.from_iterable(map(rows_of, alone)))
    assert sorted(rows) == list(range(sum(groups)))
    group_of = list(chain.from_iterable([number] * count for number, count in enumerate(groups)))
    visited = [number for number, _ in groupby(group_of[row] for row in rows)]
    assert len(visited) == len(set(visited)) == sum(map(bool, groups))
    for batch, *shares in zip(alone, *(member.stochastic(1, 1) for member in members), strict=True):
        assert sorted(chain.from_iterable(map(rows_of, shares))) == sorted(rows_of(batch))


def test_groups_and_their_rows_come_in_another_order_in_each_epoch() -> None:
    batches = Batches(40, 7, 0, 1, (10,) * 4)
    orders = [tuple(chain.from_iterable(map(rows_of, batches.stochastic(1, epoch)))) for epoch in range(1, 5)]
    assert len(set(orders)) == 4
    assert len({order[0] // 10 for order in orders}) > 1
