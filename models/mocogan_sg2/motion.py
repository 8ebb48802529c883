"""MoCoGAN's motion codes: an LSTM over noise, one step a frame (Tulyakov et al., CVPR 2018, Sec. 3.1)."""

import torch
from einops import rearrange
from torch import Tensor, nn

from vidbench.models.layers.mapping import MappingNetwork

LAYERS = 2
"""Of the network between the LSTM and the code."""

LSTMState = tuple[Tensor, Tensor]
"""Hidden state and cell of the LSTM, `[1, N, z_dim]` each."""


class MotionEncoder(nn.Module):
    """From noise tokens, one a frame, to the motion codes of the frames.

    Args:
        z_dim: width of tokens, and of the LSTM.
        v_dim: width of codes.
    """

    def __init__(self, z_dim: int = 512, v_dim: int = 512) -> None:
        super().__init__()
        self.z_dim, self.v_dim = z_dim, v_dim
        self.mapping = MappingNetwork(z_dim, 0, v_dim, LAYERS)
        self.rnn = nn.LSTM(z_dim, z_dim, batch_first=True)

    def forward(self, t: Tensor, tokens: Tensor) -> Tensor:
        """Motion codes; the LSTM runs from the first frame to the last that is asked for.

        Args:
            t: whole times `[N, T]` in frames, at least 0, in any order.
            tokens: those of frames 0, 1, 2, ..., `[N, L, z_dim]`, standard normal.

        Returns:
            `[N, T, v_dim]`.

        Raises:
            ValueError: times below 0, or of which there is no token.
        """
        first, last = int(t.min()), int(t.max())
        if first < 0 or last >= tokens.shape[1]:
            raise ValueError(f"Frames {first} to {last} were asked for; given were tokens 0 to {tokens.shape[1] - 1}.")
        u, _ = self.rnn(tokens[:, : last + 1])
        return self.codes(u[torch.arange(len(t), device=t.device)[:, None], t.long()])

    def walk(self, tokens: Tensor, state: LSTMState | None) -> tuple[Tensor, LSTMState]:
        """Go on by some frames.

        Args:
            tokens: those of the next frames, `[N, T, z_dim]`.
            state: of the LSTM before them; None at frame 0.

        Returns:
            Hidden states `[N, T, z_dim]`, which `codes` takes, and the state of the LSTM after them.
        """
        u, state = self.rnn(tokens, state)
        return u, state

    def codes(self, u: Tensor) -> Tensor:
        """Hidden states `[N, T, z_dim]` to motion codes `[N, T, v_dim]`."""
        v: Tensor = self.mapping(rearrange(u, "n t z -> (n t) z"), None)
        return rearrange(v, "(n t) v -> n t v", n=len(u))
