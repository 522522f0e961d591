"""Repeated identities of a batch."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.merge import repeated


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=60))
def test_a_hash_is_repeated_if_it_occurs_more_than_once(hashes: list[int]) -> None:
    found = repeated(np.array(hashes, dtype=np.uint64))
    assert found.tolist() == sorted(value for value, times in Counter(hashes).items() if times > 1)
