"""Prompts as an image model's own text encoder sees them; needs the library `transformers`."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor


@torch.no_grad()
def encoded_prompts(folder: Path, prompts: Sequence[str]) -> Tensor:
    """Tokens `[N, 77, width]` of prompts, the last hidden state; the empty prompt stands for no text.

    Args:
        folder: of diffusers, with `tokenizer` and `text_encoder`.
        prompts: the texts; what is beyond 75 tokens is left out.

    Raises:
        ValueError: the library or a part of the folder is missing.
    """
    for part in ("tokenizer", "text_encoder"):
        if not (folder / part).is_dir():
            raise ValueError(f"{folder} has no {part}, which a prompt needs")
    try:
        from transformers import CLIPTextModel, CLIPTokenizer
    except ImportError:
        raise ValueError("prompts need the library transformers: pip install 'vidbench[text]'") from None
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", local_files_only=True, use_safetensors=True)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"the text encoder of {folder} cannot be read: {str(error).strip().splitlines()[0]}") from None
    ids = tokenizer(list(prompts), padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    tokens: Tensor = encoder.float().eval()(ids).last_hidden_state
    return tokens
