"""Codes from the transformer, one after the other: short videos, long ones by a sliding window, and what lies between.

TATS (ECCV 2022), Sec. 3.2 and 3.3.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vidbench.draws import draw

from .transformer import Memory, Transformer

Choose = Callable[[Tensor, int], Tensor]
"""Of logits `[N, V]` and the token's index the tokens `[N]`."""
Mode = Literal["released", "intended"]


def filtered(logits: Tensor, top_k: int, top_p: float) -> Tensor:
    """Probabilities `[N, V]` of the likeliest tokens alone.

    Args:
        logits: `[N, V]`.
        top_k: how many tokens, with all that are as likely as the last of them; 0 for all.
        top_p: the share of probability that the likeliest of those make up, the one with which they do included.
    """
    if top_k:
        least = logits.topk(min(top_k, logits.shape[1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if top_p < 1:
        ordered, order = logits.sort(dim=1, descending=True, stable=True)
        before = F.pad(ordered.softmax(dim=1).cumsum(dim=1)[:, :-1], (1, 0))
        logits = ordered.masked_fill(before > top_p, -torch.inf).gather(1, order.argsort(dim=1))
    return logits.softmax(dim=1)


def chosen(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """The first token of each row `[N, V]` up to which more than a share `uniform` `[N]` of probability lies: `[N]`."""
    sums = probabilities.double().cumsum(dim=1)
    return torch.searchsorted(sums, (uniform[:, None] * sums[:, -1:]), right=True)[:, 0].clamp(max=sums.shape[1] - 1)


def generate(network: Transformer, prompt: Tensor, count: int, choose: Choose, first: int = 0) -> Tensor:
    """Tokens `[N, count]` that follow a prompt.

    Args:
        network: in evaluation mode.
        prompt: tokens `[N, T]`, at positions from 0 on.
        count: how many.
        choose: the next token of logits.
        first: index of the first token, for `choose`.
    """
    length = prompt.shape[1]
    memory = Memory(network, len(prompt), length + count - 1)
    places = torch.arange(length, device=prompt.device)
    features = network.features(prompt, places, network.mask[:length, :length], memory)
    return _continued(network, features[:, -1], memory, length, count, lambda logits, i: choose(logits, first + i))


def _continued(
    network: Transformer, features: Tensor, memory: Memory, place: int, count: int, choose: Choose
) -> Tensor:
    """Tokens `[N, count]`, the first of features `[N, E]`; each then takes the next position, from `place` on."""
    tokens = [choose(network.head(features), 0)]
    for i in range(1, count):
        places = torch.tensor([place + i - 1], device=features.device)
        features = network.features(tokens[-1][:, None], places, None, memory)[:, -1]
        tokens.append(choose(network.head(features), i))
    return torch.stack(tokens, dim=1)


def slide(network: Transformer, condition: Tensor, frame: int, context: int, choose: Choose) -> Iterator[Tensor]:
    """Latent frames without end, `[N, frame]` tokens each; all that is kept between them is the context.

    Positions begin anew with every window, so that each is made of the tokens in its context alone.

    Args:
        network: in evaluation mode.
        condition: tokens `[N, c]`.
        frame: codes of a latent frame.
        context: latent frames that the next one is made of; the first ones have fewer.
        choose: the next token of logits, by its index in the video.
    """
    index = context * frame
    tokens = generate(network, condition, index, choose)
    yield from torch.split(tokens, frame, dim=1)
    while True:
        new = generate(network, torch.cat([condition, tokens], dim=1), frame, choose, index)
        yield new
        tokens, index = torch.cat([tokens[:, frame:], new], dim=1), index + frame


def between(
    network: Transformer,
    past: Tensor,
    future: Tensor,
    count: int,
    choose: Choose,
    mode: Mode = "released",
) -> Tensor:
    """Tokens `[N, count]` between two latent frames.

    Args:
        network: one that was trained to interpolate, in evaluation mode.
        past: the condition and the frame before, `[N, c + S]`.
        future: the frame after, `[N, S]`.
        count: how many.
        choose: the next token of logits.
        mode: `released` as the authors' code has it: the frame after stands one position late, and the first new token
            is read off its last one. `intended` as in training: off the last one of the frame before.
    """
    start, block = past.shape[1], network.pos_emb.shape[1]
    if mode == "intended":
        future = future[:, :-1]
    tokens = torch.cat([past, future], dim=1)
    places = torch.cat([torch.arange(start), torch.arange(block - future.shape[1], block)]).to(tokens.device)
    length = tokens.shape[1]
    mask = network.mask[:length, :length] if mode == "released" else network.mask[places][:, places]
    memory = Memory(network, len(tokens), length + count - 1)
    features = network.features(tokens, places, mask, memory)[:, -1 if mode == "released" else start - 1]
    return _continued(network, features, memory, start, count, choose)


def fill(
    network: Transformer,
    condition: Tensor,
    sparse: Iterator[Tensor],
    missing: int,
    choose: Choose,
    mode: Mode = "released",
) -> Iterator[Tensor]:
    """All latent frames, `[N, S]` tokens each, of a few of them.

    Args:
        network: one that was trained to interpolate, in evaluation mode.
        condition: tokens `[N, c]`.
        sparse: the few, `[N, S]` each.
        missing: how many lie between any two of them.
        choose: the next token of logits, by its index among those that are filled in.
        mode: as for `between`.
    """
    past = next(sparse)
    yield past
    for gap, future in enumerate(sparse):
        count = missing * past.shape[1]

        def choose_here(logits: Tensor, index: int, first: int = gap * count) -> Tensor:
            return choose(logits, first + index)

        tokens = between(network, torch.cat([condition, past], dim=1), future, count, choose_here, mode)
        yield from torch.split(tokens, past.shape[1], dim=1)
        yield future
        past = future


class Filter(NamedTuple):
    """Which tokens may be drawn: see `filtered`."""

    top_k: int
    top_p: float


class Draw:
    """Chooses tokens by the random numbers of each video's seed, so that they depend on nothing else.

    Args:
        seeds: of the videos.
        name: of the draws.
        per: tokens of a draw; indices come in order, from 0 on.
        temperature: logits are divided by it.
        limits: which tokens may be drawn.
        beginning: which of the first tokens may be...
        first: ... and how many of them there are.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        name: str,
        per: int,
        temperature: float,
        limits: Filter,
        beginning: Filter | None = None,
        first: int = 0,
    ) -> None:
        self.seeds, self.name, self.per, self.temperature = seeds, name, per, temperature
        self.limits, self.beginning, self.first = limits, beginning or limits, first

    def __call__(self, logits: Tensor, index: int) -> Tensor:
        """Tokens `[N]` of logits `[N, V]`."""
        number, place = divmod(index, self.per)
        if place == 0:
            rows = [
                torch.rand(self.per, dtype=torch.float64, generator=draw(seed, self.name, number))
                for seed in self.seeds
            ]
            self.uniform = torch.stack(rows).to(logits.device)
        limits = self.beginning if index < self.first else self.limits
        return chosen(filtered(logits / self.temperature, *limits), self.uniform[:, place])
