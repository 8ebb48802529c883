"""The transformer: what sees what; with a memory, in windows and between frames it says what it says without."""

from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.models.tats.sampling import Draw, Filter, between, chosen, fill, filtered, generate, slide
from vidbench.models.tats.transformer import Transformer, attention_mask

FRAME, VOCABULARY = 3, 7


def network(latent_frames: int = 4, frame: int = 0) -> Transformer:
    torch.manual_seed(0)
    made = Transformer(VOCABULARY, latent_frames * FRAME, 2, 2, 8, frame).double().eval().requires_grad_(False)
    for parameter in made.parameters():
        if parameter.ndim > 1:
            parameter.normal_()
    return made


def greedy(logits: torch.Tensor, index: int) -> torch.Tensor:
    return logits.argmax(dim=1)


def tokens(seed: int, *shape: int) -> torch.Tensor:
    return torch.randint(VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


def test_a_token_is_unknown_to_those_before_it():
    made, given_tokens = network(), tokens(0, 2, 12)
    logits = made(given_tokens)
    for place in range(12):
        other = given_tokens.clone()
        other[:, place] = (other[:, place] + 1) % VOCABULARY
        changed = (made(other) - logits).abs().amax(dim=(0, 2)) > 1e-9
        assert changed.tolist() == [False] * place + [True] * (12 - place)


def test_frames_that_are_known_see_nothing_in_between_and_are_seen_by_all_of_it():
    mask, first, last = attention_mask(15, FRAME), FRAME + 1, 15 - FRAME + 1
    assert mask[:, :first].all()
    assert mask[:, last:].all()
    assert not mask[last:, first:last].any()
    inner = mask[first:last, first:last]
    assert torch.equal(inner, torch.ones_like(inner).tril())
    assert int(mask[0].sum()) == 2 * FRAME


def test_at_the_beginning_all_tokens_are_about_as_likely():
    torch.manual_seed(0)
    made = Transformer(VOCABULARY, 12, 2, 2, 8)
    assert made(tokens(0, 1, 12)).abs().max() < 0.5
    assert not made.pos_emb.any()
    assert made.head.weight.std().item() == pytest.approx(0.02, rel=0.3)


def test_with_a_memory_tokens_are_those_without():
    made, prompt = network(), tokens(1, 2, 4)
    found = generate(made, prompt, 8, greedy)
    whole = prompt
    for _ in range(8):
        whole = torch.cat([whole, made(whole)[:, -1].argmax(dim=1, keepdim=True)], dim=1)
    assert torch.equal(found, whole[:, 4:])


@pytest.mark.parametrize("context", [1, 2, 3])
def test_a_window_depends_on_its_context_alone(context):
    made, condition = network(), torch.zeros(2, 1, dtype=torch.long)
    frames = list(islice(slide(made, condition, FRAME, context, greedy), 9))
    assert all(frame.shape == (2, FRAME) for frame in frames)
    short = generate(made, condition, (context + 1) * FRAME, greedy)
    assert torch.equal(torch.cat(frames[: context + 1], dim=1), short)
    for i in range(context, 9):
        prompt = torch.cat([condition, *frames[i - context : i]], dim=1)
        assert torch.equal(frames[i], generate(made, prompt, FRAME, greedy))


def test_what_lies_between_is_read_as_in_training():
    """Where it is meant to be: the whole sequence at once says the same of each token between."""
    made, past, future = network(5, FRAME), tokens(2, 2, 1 + FRAME), tokens(3, 2, FRAME)
    found = between(made, past, future, 3 * FRAME, greedy, "intended")
    whole = torch.cat([past, found, future[:, :-1]], dim=1)
    start = past.shape[1] - 1
    assert torch.equal(made(whole)[:, start : start + 3 * FRAME].argmax(dim=2), found)
    assert not torch.equal(found, between(made, past, future, 3 * FRAME, greedy, "released"))


def test_gaps_are_filled_one_by_one():
    made, condition = network(5, FRAME), torch.zeros(2, 1, dtype=torch.long)
    sparse, indices = [tokens(i, 2, FRAME) for i in range(3)], []

    def choose(logits: torch.Tensor, index: int) -> torch.Tensor:
        indices.append(index)
        return greedy(logits, index)

    frames = list(fill(made, condition, iter(sparse), 3, choose))
    assert [torch.equal(frames[4 * i], sparse[i]) for i in range(3)] == [True] * 3
    assert indices == list(range(2 * 3 * FRAME))
    expected = between(made, torch.cat([condition, sparse[1]], dim=1), sparse[2], 3 * FRAME, greedy)
    assert torch.equal(torch.cat(frames[5:8], dim=1), expected)


@given(st.integers(0, 99), st.integers(0, 9), st.floats(0.01, 1))
def test_filters_keep_the_likeliest_and_nothing_else(seed, top_k, top_p):
    logits = 3 * torch.randn(2, VOCABULARY, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = filtered(logits, top_k, top_p)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(2, dtype=torch.float64))
    for row, kept in zip(logits, found > 0, strict=True):
        assert row[kept].min() > row[~kept].max() if not kept.all() else True
        assert 1 <= kept.sum() <= (top_k or VOCABULARY)
        within = row.topk(min(top_k or VOCABULARY, VOCABULARY)).values.softmax(dim=0)
        share = within[: int(kept.sum())]
        assert share[:-1].sum() <= top_p + 1e-12
        assert share.sum() > top_p - 1e-12 or kept.sum() == len(within)


def test_filters_that_let_all_through_and_one():
    logits = torch.tensor([[0.1, 2.0, 2.0, -1.0]])
    torch.testing.assert_close(filtered(logits, 0, 1.0), logits.softmax(dim=1))
    torch.testing.assert_close(filtered(logits, 4, 1.0), logits.softmax(dim=1))
    assert filtered(logits, 1, 1.0).tolist() == [[0, 0.5, 0.5, 0]], "what is as likely as the last is kept"
    assert filtered(logits[:, [0, 1, 3]], 1, 0.5).tolist() == [[0, 1, 0]]


@given(st.floats(0, 1, exclude_max=True))
def test_a_random_number_chooses_by_the_cumulative_probability(uniform):
    probabilities = torch.tensor([[0.0, 0.25, 0.0, 0.5, 0.25, 0.0]])
    [token] = chosen(probabilities, torch.tensor([uniform], dtype=torch.float64)).tolist()
    assert token == (1 if uniform < 0.25 else 3 if uniform < 0.75 else 4)


def test_draws_are_those_of_each_seed():
    together, alone = (Draw(seeds, "codes", 2, 1.0, Filter(0, 1.0)) for seeds in ([5, 6], [6]))
    logits = torch.zeros(2, 1000)
    found = [(together(logits, i), alone(logits[:1], i)) for i in range(6)]
    assert all(both[1] == one[0] for both, one in found)
    assert len({int(one[0]) for _, one in found}) > 4
