"""Ids: valid random-looking UUIDs that lead to their run, the same for the same seed."""

from __future__ import annotations

import re
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from mockserver.behaviour.ids import id_row, one_id, tail_of

KEY = b"a key of 32 bytes for these ids."


@given(st.binary(min_size=1, max_size=64), st.text(), st.integers(1, 1000))
def test_every_id_of_a_row_is_a_valid_lower_case_uuid_of_its_own(key, made_by, count):
    row = id_row(key, made_by.encode("utf-8", "replace").decode(), count)

    ids = [row.id(index) for index in range(count)]

    assert len(set(ids)) == count
    for id_ in {ids[0], ids[count // 2], ids[-1]}:
        assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", id_)
        assert str(UUID(id_)) == id_
        assert UUID(id_).version == 4


@given(st.integers(1, 1000), st.data())
def test_an_id_leads_to_its_place_in_the_row(count, data):
    row = id_row(KEY, data.draw(st.sampled_from(["runs 0", "runs 1", "runs 2"])), count)
    index = data.draw(st.integers(0, count - 1))

    assert row.place(row.id(index)) == index
    assert tail_of(row.id(index)) == row.tail


@given(st.integers(1, 1000), st.integers(0, 0xFFFFFFFF))
def test_a_head_that_was_never_given_out_leads_nowhere(count, head):
    row = id_row(KEY, "runs 7", count)
    given_out = {row.id(index) for index in range(count)}
    id_ = f"{head:08x}{row.tail}"

    assert (row.place(id_) is not None) == (id_ in given_out)


@given(st.integers(1, 1000))
def test_heads_are_the_first_eight_digits_of_the_ids(count):
    row = id_row(KEY, "runs 3", count)

    assert row.heads() == [row.id(index)[:8].encode() for index in range(count)]


def test_the_same_key_and_name_give_the_same_ids_and_others_give_others():
    one = id_row(KEY, "runs 0", 3)

    assert id_row(KEY, "runs 0", 3) == one
    assert id_row(KEY, "runs 1", 3).tail != one.tail
    assert id_row(b"another", "runs 0", 3).tail != one.tail
    assert one_id(KEY, "pool 0") == id_row(KEY, "pool 0", 1).id(0)


def test_rows_of_many_calls_share_no_tail():
    tails = {id_row(KEY, f"runs {number}", 1).tail for number in range(20_000)}

    assert len(tails) == 20_000


def test_ids_of_short_rows_differ_in_their_heads_too():
    heads = {one_id(KEY, f"runs {number}")[:8] for number in range(2_000)}

    assert len(heads) > 1_990
