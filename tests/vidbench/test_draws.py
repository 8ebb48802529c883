"""Named draws: the seed is a hash of (seed, name, index), so nothing carries over from one draw to the next."""

import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.draws import draw, draw_seed

seeds = st.integers(0, 2**63 - 1)
names = st.text(st.characters(exclude_categories=["Cs"]))
indices = st.integers(0, 10**9)


@pytest.mark.parametrize(
    ("seed", "name", "index", "sha256"),
    [(0, "clip", 0, 0xF33AD791D77B6F5C), (7, "start/ä日本", 3, 0x0D99B84EBDEB2A96)],
)
def test_the_seed_is_the_first_half_of_eight_bytes_of_sha256(seed, name, index, sha256):
    assert draw_seed(seed, name, index) == sha256 // 2


@given(seeds, names, indices)
def test_the_hashed_text_is_seed_slash_name_slash_index_in_utf8(seed, name, index):
    text = str(seed).encode() + b"/" + name.encode("utf-8") + b"/" + str(index).encode()
    assert draw_seed(seed, name, index) == int(hashlib.sha256(text).hexdigest()[:16], 16) // 2


@given(seeds, names, indices)
def test_the_seed_fits_into_63_bits(seed, name, index):
    assert 0 <= draw_seed(seed, name, index) < 2**63


def test_the_index_is_0_unless_it_is_given():
    assert draw_seed(5, "noise") == draw_seed(5, "noise", 0)


def test_a_file_name_that_is_no_unicode_has_draws_of_its_own():
    names = [b"video-\xff".decode("utf-8", "surrogateescape"), b"video-\xfe".decode("utf-8", "surrogateescape")]
    assert draw_seed(0, names[0]) == int(hashlib.sha256(b"0/video-\xff/0").hexdigest()[:16], 16) // 2
    assert draw_seed(0, names[0]) != draw_seed(0, names[1])


@given(seeds, names, st.lists(indices, min_size=2, max_size=20, unique=True))
def test_different_indices_have_different_seeds(seed, name, several):
    assert len({draw_seed(seed, name, index) for index in several}) == len(several)


@given(st.lists(seeds, min_size=2, max_size=20, unique=True))
def test_different_seeds_have_different_draws(several):
    assert len({draw_seed(seed, "clip") for seed in several}) == len(several)


@given(seeds, names, indices)
def test_the_same_draw_gives_the_same_numbers(seed, name, index):
    first, again = (torch.rand(8, generator=draw(seed, name, index)) for _ in range(2))
    assert torch.equal(first, again)


def test_different_draws_give_different_numbers():
    numbers = [torch.rand(4, generator=draw(0, "noise", index)).tolist() for index in range(50)]
    assert len({number for row in numbers for number in row}) == 200


def test_a_draw_neither_reads_nor_moves_the_global_random_state():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    numbers = torch.rand(4, generator=draw(0, "noise"))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(1)
    assert torch.equal(numbers, torch.rand(4, generator=draw(0, "noise")))
