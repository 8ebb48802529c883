"""What is missing for a prompt is named."""

import sys

import pytest

from vidbench.models.video_ldm.text import encoded_prompts


def test_a_model_without_text_encoder_takes_no_prompt(tmp_path):
    (tmp_path / "tokenizer").mkdir()
    with pytest.raises(ValueError, match="has no text_encoder, which a prompt needs"):
        encoded_prompts(tmp_path, ["a red car"])


def test_a_prompt_needs_a_library(tmp_path, monkeypatch):
    for part in ("tokenizer", "text_encoder"):
        (tmp_path / part).mkdir()
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match="need the library transformers"):
        encoded_prompts(tmp_path, ["a red car"])
