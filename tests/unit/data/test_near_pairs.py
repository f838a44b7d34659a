import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2f.data.groups import hamming, near_pairs

MANY = 2**64 - 1


def brute(hashes, radius):
    return [
        [i, j] for i, a in enumerate(hashes) for j, b in enumerate(hashes) if i < j and (a ^ b).bit_count() <= radius
    ]


@given(st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 63), max_size=8)), max_size=24), st.integers(0, 11))
def test_every_near_pair_is_found_and_no_other(flips, radius):
    bases = [0, MANY, 0x0123456789ABCDEF, 0xF0F0F0F0F0F0F0F0]
    hashes = [bases[base] ^ sum(1 << bit for bit in bits) for base, bits in flips]
    assert near_pairs(hashes, radius).tolist() == brute(hashes, radius)


def test_many_hashes_are_searched_in_a_moment():
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**64, 50_000, dtype=np.uint64)
    hashes[1000] = hashes[40_000] ^ np.uint64(0b111111 << 13)
    assert near_pairs(hashes).tolist() == [[1000, 40_000]]


def test_hamming_counts_bits():
    first = np.array([0, MANY, 5], dtype=np.uint64)
    assert hamming(first, np.array([MANY, MANY, 6], dtype=np.uint64)).tolist() == [64, 0, 2]


def test_the_radius_is_bounded():
    with pytest.raises(ValueError, match=r"0\.\.11, got 12"):
        near_pairs([1, 2], 12)
