"""Principal components of styles, from sums alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.models.mocogan_hd.pca import Components, StyleStatistics


def styles(seed: int = 0) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(300, 6, generator=source) @ torch.randn(6, 6, generator=source) + 5


def of(*batches: torch.Tensor) -> Components:
    statistics = StyleStatistics(6)
    for batch in batches:
        statistics.add(batch)
    return statistics.components()


@given(seed=st.integers(0, 50))
def test_directions_are_orthonormal_and_deviations_make_up_the_variance(seed):
    found = of(styles(seed))
    torch.testing.assert_close(found.directions @ found.directions.T, torch.eye(6, dtype=torch.float64))
    total = styles(seed).double().var(dim=0).sum()
    torch.testing.assert_close(found.deviations.square().sum(), total)
    torch.testing.assert_close(found.ratios.sum(), torch.ones((), dtype=torch.float64))
    assert (found.deviations.diff() <= 0).all()
    assert (found.directions.gather(1, found.directions.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_deviations_are_those_of_projections():
    found, x = of(styles()), styles().double()
    torch.testing.assert_close((x @ found.directions.T).std(dim=0), found.deviations)
    torch.testing.assert_close(x.mean(dim=0), found.mean)


@given(cuts=st.lists(st.integers(0, 300), min_size=1, max_size=4))
def test_batches_do_not_matter(cuts):
    whole, pieces = of(styles()), of(*styles().tensor_split(sorted(cuts)))
    for name in ("directions", "deviations", "mean"):
        torch.testing.assert_close(getattr(pieces, name), getattr(whole, name))


def test_steps_are_the_strongest_directions_as_long_as_their_deviations():
    found = of(styles())
    steps = found.steps(2)
    torch.testing.assert_close(steps.double(), found.directions[:2] * found.deviations[:2, None], rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="there are 6 principal components, and 7 are asked for"):
        found.steps(7)


def test_components_need_two_styles():
    with pytest.raises(ValueError, match="at least 2 styles, and there are 1"):
        of(styles()[:1])
