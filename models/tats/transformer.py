"""TATS's transformer: the next code of a video, from all before it (ECCV 2022, Sec. 3.2; Radford et al., 2019)."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


def attention_mask(block: int, frame: int) -> Tensor:
    """Which of `block` tokens (rows) see which (columns): bool `[block, block]`.

    Args:
        block: tokens of a training sample: a start, and all codes but the last.
        frame: codes of a latent frame, where the first and the last frame are seen by all tokens, and see none of those
            between them (Sec. 3.3); 0 where each token sees itself and all before it.
    """
    seen = torch.ones(block, block, dtype=torch.bool).tril()
    if frame:
        seen[:, : frame + 1] = True
        seen[:, block - frame + 1 :] = True
        seen[block - frame + 1 :, frame + 1 : block - frame + 1] = False
    return seen


class Memory:
    """Keys and values of the tokens so far, of all layers.

    Args:
        network: whose.
        batch: videos.
        length: tokens at most.
    """

    def __init__(self, network: "Transformer", batch: int, length: int) -> None:
        heads, width = network.heads, network.pos_emb.shape[2] // network.heads
        self.kept = network.pos_emb.new_empty(len(network.blocks), 2, batch, heads, length, width)
        self.filled = 0

    def extended(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values `[N, heads, filled + T, width]` of a layer, with new ones `[N, heads, T, width]`."""
        stop = self.filled + keys.shape[2]
        for kept, new in zip(self.kept[layer], (keys, values), strict=True):
            kept[:, :, self.filled : stop] = new
        return self.kept[layer, 0, :, :, :stop], self.kept[layer, 1, :, :, :stop]


class Attention(nn.Module):
    """Attention of several heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.key, self.query, self.value, self.proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor | None, memory: Memory | None, layer: int) -> Tensor:
        """`[N, T, E]` to the same; `mask` says which tokens (columns) each one sees, None that it sees all."""
        query, key, value = (
            rearrange(linear(x), "n t (h d) -> n h t d", h=self.heads) for linear in (self.query, self.key, self.value)
        )
        if memory is not None:
            key, value = memory.extended(layer, key, value)
        seen = F.scaled_dot_product_attention(query, key, value, mask)
        y: Tensor = self.proj(rearrange(seen, "n h t d -> n t (h d)"))
        return y


class Block(nn.Module):
    """Attention, and two layers on each token alone."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, mask: Tensor | None, memory: Memory | None, layer: int) -> Tensor:
        """As `Attention`."""
        x = x + self.attn(self.ln1(x), mask, memory, layer)
        y: Tensor = x + self.mlp(self.ln2(x))
        return y


class Transformer(nn.Module):
    """Logits of the next token.

    Args:
        vocabulary: V, tokens that there are: those of conditions, then the codes.
        block: tokens of a training sample, and positions that there are.
        layers: blocks.
        heads: of attention.
        width: E, of a token.
        frame: as for `attention_mask`.
    """

    mask: Tensor

    def __init__(self, vocabulary: int, block: int, layers: int, heads: int, width: int, frame: int = 0) -> None:
        super().__init__()
        self.heads, self.frame = heads, frame
        self.tok_emb = nn.Embedding(vocabulary, width)
        self.pos_emb = nn.Parameter(torch.zeros(1, block, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.register_buffer("mask", attention_mask(block, frame), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits `[N, T, V]` of what comes after each of the tokens `[N, T]`, as in training."""
        count = tokens.shape[1]
        places = torch.arange(count, device=tokens.device)
        logits: Tensor = self.head(self.features(tokens, places, self.mask[:count, :count]))
        return logits

    def features(
        self, tokens: Tensor, places: Tensor, mask: Tensor | None = None, memory: Memory | None = None
    ) -> Tensor:
        """What `head` makes logits of, `[N, T, E]`.

        Args:
            tokens: `[N, T]`.
            places: the position of each `[T]`.
            mask: which tokens (columns, those in memory first) each one sees; None for all.
            memory: of the tokens before; takes these in.
        """
        x = self.tok_emb(tokens) + self.pos_emb[0, places]
        for layer, block in enumerate(self.blocks):
            x = block(x, mask, memory, layer)
        if memory is not None:
            memory.filled += tokens.shape[1]
        y: Tensor = self.ln_f(x)
        return y
