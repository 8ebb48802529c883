"""The codebook: nearest entries, entries that follow what they are given, and rare ones put back among the vectors."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.models.tats.codebook import Codebook, pick_from, tiled


def vectors(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def filled(count: int = 6, width: int = 3) -> Codebook:
    torch.manual_seed(0)
    book = Codebook(count, width)
    book.N.fill_(1)
    return book


def follow(book: Codebook, z: torch.Tensor, codes: torch.Tensor, pick=None, rare: float = 0) -> None:
    book.follow(z, codes, lambda value: value, pick, rare)


def test_a_vector_becomes_its_nearest_entry_and_gradients_pass():
    book, z = filled(), vectors(1, 2, 3, 2, 2, 2).requires_grad_()
    found = book(z)
    distances = torch.cdist(z.detach().movedim(1, -1).reshape(-1, 3), book.embeddings)
    assert torch.equal(found.codes.flatten(), distances.argmin(dim=1))
    torch.testing.assert_close(found.values, book.entries(found.codes))
    (gradient,) = torch.autograd.grad((found.values * 7).sum(), z, retain_graph=True)
    assert (gradient == 7).all()
    (gradient,) = torch.autograd.grad(found.commitment, z)
    torch.testing.assert_close(gradient, 0.5 * (z - found.values).detach() / z.numel())


def test_perplexity_is_how_many_codes_are_in_use():
    book = filled()
    z = book.embeddings[[0, 1, 1, 0]].T.view(1, 3, 4, 1, 1)
    assert book(z).perplexity.item() == pytest.approx(2, rel=1e-4)


@given(st.integers(0, 99))
def test_averages_follow_what_entries_are_given(seed):
    book, z = filled(), vectors(seed, 1, 3, 2, 2, 2)
    before, unused = book.embeddings.clone(), book.z_avg.clone()
    codes = book(z).codes
    follow(book, z, codes)
    counts = torch.bincount(codes.flatten(), minlength=6)
    torch.testing.assert_close(book.N, 0.99 + 0.01 * counts)
    assert book.N.sum().item() == pytest.approx(0.99 * 6 + 0.01 * 8, rel=1e-5)
    idle = counts == 0
    torch.testing.assert_close(book.z_avg[idle], 0.99 * unused[idle])
    torch.testing.assert_close(book.embeddings[idle], before[idle], rtol=1e-5, atol=1e-6)
    for code in codes.unique():
        given_to = z.movedim(1, -1).reshape(-1, 3)[codes.flatten() == code]
        expected = (0.99 * unused[code] + 0.01 * given_to.sum(dim=0)) / book.N[code]
        torch.testing.assert_close(book.embeddings[code], expected, rtol=1e-5, atol=1e-6)


def test_rare_entries_are_among_the_vectors_until_the_next_step():
    book, z = filled(), vectors(2, 1, 3, 2, 2, 2)
    codes = torch.zeros(1, 2, 2, 2, dtype=torch.long)
    averages = 0.99 * book.z_avg
    follow(book, z, codes, pick_from(torch.Generator().manual_seed(3), 6), 1.0)
    flat = z.movedim(1, -1).reshape(-1, 3)
    assert all((flat == entry).all(dim=1).any() for entry in book.embeddings[1:])
    assert not (flat == book.embeddings[0]).all(dim=1).any()
    torch.testing.assert_close(book.z_avg[1:], averages[1:])


def test_entries_start_once_among_the_first_vectors():
    torch.manual_seed(0)
    book, z = Codebook(4, 3), vectors(4, 1, 3, 2, 2, 2)
    book.start(z, pick_from(torch.Generator().manual_seed(5), 4))
    flat = z.movedim(1, -1).reshape(-1, 3)
    assert all((flat == entry).all(dim=1).any() for entry in book.embeddings)
    assert len(book.embeddings.unique(dim=0)) == 4
    assert torch.equal(book.embeddings, book.z_avg)
    assert (book.N == 1).all()
    before = book.embeddings.clone()
    book.start(z + 1, pick_from(torch.Generator(), 4))
    assert torch.equal(book.embeddings, before)


@given(st.integers(1, 9), st.integers(1, 9))
def test_too_few_vectors_are_taken_over_and_over_with_noise(count, needed):
    flat = vectors(count, count, 2)
    rows = -(-needed // count) * count
    found = tiled(flat, needed, vectors(1, rows, 2))
    if count >= needed:
        assert torch.equal(found, flat)
    else:
        torch.testing.assert_close(found, flat.repeat(rows // count, 1) + vectors(1, rows, 2) * 0.01 / 2**0.5)
    picked = pick_from(torch.Generator().manual_seed(0), needed)(flat)
    assert picked.shape == (needed, 2)
