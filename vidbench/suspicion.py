"""Clips that should not be there: still, black and repeated ones."""

import hashlib

import numpy as np


def look_at(clip: np.ndarray) -> tuple[int, bool, bool]:
    """Of a clip uint8 `[3, T, H, W]`: a 63-bit digest of its pixels, whether it does not move, whether it is black."""
    digest = int.from_bytes(hashlib.blake2b(clip.tobytes(), digest_size=8).digest(), "big") >> 1
    return digest, bool(clip.shape[1] > 1 and (clip == clip[:, :1]).all()), bool(clip.max() < 16)


def suspicions(name: str, what: str, digest: np.ndarray, still: np.ndarray, black: np.ndarray) -> list[str]:
    """One line for each kind found among clips (called `what`), of which `look_at` gave these arrays `[N]`."""
    kinds = {
        "do not move at all": still.sum(),
        "are black": black.sum(),
        "are exact repeats of another": len(digest) - len(np.unique(digest)),
    }
    return [f"{name}: {found} of {len(digest)} {what} {kind}." for kind, found in kinds.items() if found]
