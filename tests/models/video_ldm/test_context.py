"""Given frames: their mask, guidance by them, and that they are kept."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.models.video_ldm.small import LATENTS, TEXT, normal, plain_unet, text_unet, trained
from vidbench.models.video_ldm.context import completed, context_frames, first_frames, guided, text_guided
from vidbench.models.video_ldm.diffusion import own_schedule
from vidbench.models.video_ldm.unet import VideoUNet

TAU = torch.tensor([600, 20])
Z = normal(2, LATENTS, 4, 8, 8)


class Counted:
    """A video UNet, and how many videos it was called with."""

    def __init__(self, **settings) -> None:
        self.network = trained(VideoUNet(plain_unet(), context=LATENTS, **settings))
        self.calls: list[int] = []

    def __call__(self, z: Tensor, tau: Tensor, context: Tensor | None) -> Tensor:
        self.calls.append(len(z))
        out: Tensor = self.network(z, tau, context=context)
        return out


@given(st.lists(st.integers(0, 8), min_size=1, max_size=4), st.integers(1, 8))
def test_frames_that_are_not_given_do_not_show(counts, frames):
    mask = first_frames(torch.tensor(counts), frames)
    assert mask.sum(dim=1).tolist() == [min(count, frames) for count in counts]
    z = normal(len(counts), LATENTS, frames, 2, 3)
    context = context_frames(z, mask)
    assert context.shape == (len(counts), LATENTS + 1, frames, 2, 3)
    hidden = ~mask[:, None, :, None, None]
    other = torch.where(hidden, torch.full_like(z, float("nan")), z)
    assert torch.equal(context_frames(other, mask), context)
    assert not context.masked_select(hidden).any()
    assert torch.equal(context[:, :LATENTS].masked_select(~hidden), z.masked_select(~hidden))
    assert torch.equal(context[:, -1].bool(), mask[:, :, None, None].expand_as(context[:, -1]))


@torch.no_grad()
def test_guidance_is_affine_in_its_scale():
    network = Counted()
    context = context_frames(Z, first_frames(torch.tensor([1, 2]), 4))
    alone, given_ = network(Z, TAU, None), network(Z, TAU, context)
    network.calls.clear()
    assert torch.equal(guided(network, Z, TAU, context, 1.0), given_)
    assert network.calls == [2]
    at = {scale: guided(network, Z, TAU, context, scale) for scale in (0.0, 1.5, 3.0)}
    assert network.calls == [2, 4, 4, 4]
    torch.testing.assert_close(at[0.0], alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(at[1.5], (at[0.0] + at[3.0]) / 2, rtol=0, atol=1e-5)
    torch.testing.assert_close(at[3.0], alone + 3 * (given_ - alone), rtol=0, atol=1e-4)
    assert (at[3.0] - given_).abs().max() > 1e-2


@torch.no_grad()
def test_guidance_by_nothing_changes_nothing():
    network = Counted()
    context = context_frames(Z, first_frames(torch.tensor([0, 0]), 4))
    expected = network(Z, TAU, None)
    for scale in (1.0, 2.0, 5.0):
        torch.testing.assert_close(guided(network, Z, TAU, context, scale), expected, rtol=0, atol=1e-5)
    assert torch.equal(guided(network, Z, TAU, None, 5.0), expected)


@torch.no_grad()
def test_guidance_by_text_nests_in_that_by_context():
    network = trained(VideoUNet(text_unet(), context=LATENTS))
    prompt, empty = normal(1, 5, TEXT), normal(1, 5, TEXT, seed=1)
    context = context_frames(Z, first_frames(torch.tensor([1, 2]), 4))

    def told(z: Tensor, tau: Tensor, context: Tensor | None, text: Tensor) -> Tensor:
        out: Tensor = network(z, tau, context=context, text=text)
        return out

    def by_hand(context: Tensor | None) -> Tensor:
        without, with_ = (told(Z, TAU, context, text.expand(2, -1, -1)) for text in (empty, prompt))
        return without + 4 * (with_ - without)

    found = guided(text_guided(told, prompt, empty, 4.0), Z, TAU, context, 2.0)
    expected = by_hand(None) + 2 * (by_hand(context) - by_hand(None))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    plain = text_guided(told, prompt, empty, 1.0)(Z, TAU, None)
    assert torch.equal(plain, told(Z, TAU, None, prompt.expand(2, -1, -1)))


@torch.no_grad()
@pytest.mark.parametrize("sampler", ["ddim", "dpm-solver++"])
def test_given_frames_are_kept(sampler):
    network, noise = Counted(), normal(2, LATENTS, 5, 8, 8, seed=5)
    z = normal(2, LATENTS, 5, 8, 8)
    ends = torch.tensor([True, False, False, False, True]).expand(2, -1)
    for mask in (first_frames(torch.tensor([1, 2]), 5), ends):
        shown = mask[:, None, :, None, None]
        hidden = torch.where(shown, z, float("nan"))
        made = completed(network, hidden, mask, noise, own_schedule(), 4, sampler, scale=2.0)
        assert torch.equal(made.masked_select(shown), z.masked_select(shown))
        assert made.isfinite().all()
        again = completed(network, z, mask, noise, own_schedule(), 4, sampler, scale=2.0)
        assert torch.equal(made, again)
        other = completed(network, z, mask, noise + 1, own_schedule(), 4, sampler, scale=2.0)
        assert (made - other).masked_select(~shown).abs().max() > 1e-2


@torch.no_grad()
@pytest.mark.parametrize("which", [0, 1])
def test_a_video_of_a_batch_is_that_video_alone(which):
    network, noise = Counted(), normal(2, LATENTS, 4, 8, 8, seed=5)
    mask = first_frames(torch.tensor([1, 2]), 4)
    both = completed(network, Z, mask, noise, own_schedule(), 4, scale=2.0)
    i = slice(which, which + 1)
    alone = completed(network, Z[i], mask[i], noise[i], own_schedule(), 4, scale=2.0)
    torch.testing.assert_close(both[i], alone, rtol=0, atol=1e-4 * both.std().item())
