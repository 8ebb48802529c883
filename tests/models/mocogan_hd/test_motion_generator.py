"""A walk begins at the first frame's style, takes bounded steps in few directions, and goes on for ever."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.models.mocogan_hd.motion_generator import MotionGenerator

Z, K = 6, 4


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


DIRECTIONS = torch.linalg.qr(normal(Z, Z))[0][:K]
DEVIATIONS = torch.tensor([2.0, 1.0, 0.5, 0.1], dtype=torch.float64)


def motion(strength: float = 0.2, scale: float = 50.0) -> MotionGenerator:
    """One that moves: its weights are far larger than at the start of training."""
    torch.manual_seed(0)
    network = MotionGenerator(DIRECTIONS * DEVIATIONS[:, None], hidden=5, strength=strength).double()
    network.w.data *= scale
    return network.requires_grad_(False)


NETWORK = motion()


@given(seed=st.integers(0, 100), frames=st.integers(1, 12))
def test_walks_begin_at_the_style_and_stay_on_the_ways_that_there_are(seed, frames):
    w, e = normal(2, Z, seed=seed), normal(2, frames - 1, Z, seed=seed + 1)
    styles, recovered = NETWORK(w, e)
    assert torch.equal(styles[:, 0], w)
    assert recovered.shape == e.shape
    moves = styles.diff(dim=1)
    along = moves @ DIRECTIONS.T
    assert (along.abs() <= 0.2 * DEVIATIONS + 1e-12).all()
    torch.testing.assert_close(along @ DIRECTIONS, moves)


def test_without_strength_nothing_moves():
    styles, _ = motion(strength=0.0)(normal(2, Z), normal(2, 5, Z, seed=1))
    torch.testing.assert_close(styles, styles[:, :1].expand_as(styles))


@given(short=st.integers(0, 8))
def test_a_longer_walk_begins_as_the_shorter(short):
    w, e = normal(2, Z), normal(2, 8, Z, seed=1)
    torch.testing.assert_close(NETWORK(w, e[:, :short])[0], NETWORK(w, e)[0][:, : short + 1])


def test_a_walk_can_be_taken_up_where_it_stands():
    w, e = normal(2, Z), normal(2, 8, Z, seed=1)
    walk = NETWORK.start(w)
    for t in range(8):
        walk = NETWORK.step(walk, e[:, t])
    torch.testing.assert_close(walk.w, NETWORK(w, e)[0][:, -1])


def test_walks_do_not_depend_on_each_other():
    w, e = normal(3, Z), normal(3, 4, Z, seed=1)
    alone = torch.cat([NETWORK(w[i : i + 1], e[i : i + 1])[0] for i in range(3)])
    torch.testing.assert_close(alone, NETWORK(w, e)[0])


def test_noise_steers():
    w = normal(1, Z).expand(2, -1)
    styles, _ = NETWORK(w, normal(2, 8, Z, seed=1))
    assert (styles[0, -1] - styles[1, -1]).norm() > 0.1


def test_the_paper_s_network_starts_out_all_but_still():
    with torch.device("meta"):
        network = MotionGenerator(torch.empty(384, 512))
    assert sum(parameter.numel() for parameter in network.parameters()) == 3_562_880
    styles, _ = motion(scale=1.0)(normal(50, Z), normal(50, 8, Z, seed=1))
    moves = (styles.diff(dim=1) @ DIRECTIONS.T) / (0.2 * DEVIATIONS)
    assert 0 < moves.square().mean().sqrt() < 0.05


def test_the_matrices_of_each_gate_are_orthogonal():
    network = MotionGenerator(torch.zeros(K, Z), hidden=5)
    for weight in (network.cell.weight_hh, network.enc_cell.weight_hh):
        for gate in weight.detach().chunk(4):
            torch.testing.assert_close(gate @ gate.T, torch.eye(5), rtol=0, atol=1e-5)
    assert not network.cell.bias_ih.any()
