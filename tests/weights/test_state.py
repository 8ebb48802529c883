"""A backbone's weights are found in the cache by their public names, proven, and converted once."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch

from vidbench.errors import UserError
from vidbench.weights import load_i3d_state
from vidbench.weights.names import Table
from vidbench.weights.public import FILES, PublicFile, hashes, is_content_of
from vidbench.weights.state import examine

Tensors = Mapping[str, torch.Tensor]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["i3d_torchscript.pt", "i3d_pretrained_400.pt"])
def test_a_public_file_in_the_cache_is_proven_and_converted_once(
    small: Tensors, small_table: Table, weights: Path, name: str
) -> None:
    source = weights / name
    torch.save(dict(small), source)
    first = load_i3d_state("i3d", table=small_table)
    assert first.proven
    assert first.verdict == "these are the FVD weights (6 of 6 variables)"
    assert first.sha256 == sha256(source)
    with safetensors.safe_open(weights / "i3d.safetensors", "pt") as file:
        assert file.metadata() == {"source": name, "source_sha256": first.sha256, "verdict": first.verdict}
    source.unlink()
    second = load_i3d_state("i3d", table=small_table)
    assert (second.proven, second.verdict, second.sha256) == (True, first.verdict, first.sha256)
    assert all(torch.equal(second.tensors[key], tensor) for key, tensor in small.items())
    assert [path.name for path in weights.iterdir()] == ["i3d.safetensors"]


def test_the_other_network_is_its_own_backbone(small: Tensors, small_table: Table, weights: Path) -> None:
    other = {name: tensor if name.endswith(".bn.weight") else -tensor for name, tensor in small.items()}
    torch.save(other, weights / "rgb_imagenet.pt", _use_new_zipfile_serialization=False)
    state = load_i3d_state("i3d-imagenet", table=small_table)
    assert state.proven
    assert (weights / "i3d-imagenet.safetensors").exists()
    with pytest.raises(UserError, match='Weights "i3d" are not in the cache'):
        load_i3d_state("i3d", table=small_table)


def test_the_other_network_under_the_name_of_the_fvd_weights_is_refused(
    small: Tensors, small_table: Table, weights: Path
) -> None:
    other = {name: tensor if name.endswith(".bn.weight") else -tensor for name, tensor in small.items()}
    for name in ("i3d.safetensors", "i3d_torchscript.pt"):
        safetensors.torch.save_file(other, weights / name)
        with pytest.raises(UserError) as caught:
            load_i3d_state("i3d", table=small_table)
        assert f'{weights / "i3d.safetensors"} does not hold the weights of backbone "i3d": these are rgb_imagenet' in (
            str(caught.value)
        )


def test_a_damaged_conversion_is_made_again(small: Tensors, small_table: Table, weights: Path) -> None:
    torch.save(dict(small), weights / "i3d_torchscript.pt")
    (weights / "i3d.safetensors").write_bytes(b"damaged")
    assert load_i3d_state("i3d", table=small_table).proven
    (weights / "i3d_torchscript.pt").unlink()
    assert load_i3d_state("i3d", table=small_table).proven


def test_a_file_named_by_the_user_may_be_unproven_and_stays_where_it_is(
    small: Tensors, small_table: Table, weights: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    tensors = {name: tensor * 2 for name, tensor in small.items()}
    safetensors.torch.save_file(tensors, path, {"source_sha256": "claimed"})
    state = load_i3d_state("i3d", path, small_table)
    assert not state.proven
    assert state.verdict == "neither: 0 of 6 agree"
    assert state.sha256 == sha256(path)
    assert torch.equal(state.tensors["logits.conv3d.bias"], tensors["logits.conv3d.bias"])
    assert not list(weights.iterdir())


def test_a_cache_that_cannot_be_written_costs_only_time(
    small: Tensors, small_table: Table, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise UserError("full")

    torch.save(dict(small), weights / "i3d_torchscript.pt")
    monkeypatch.setattr("vidbench.weights.state.atomic_write", fails)
    assert load_i3d_state("i3d", table=small_table).proven


def test_absent_weights_are_an_error_that_says_how_to_get_them(own_cache: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_i3d_state("i3d")
    assert str(caught.value) == (
        'Weights "i3d" are not in the cache. Get them with vidbench weights fetch i3d. Without a network: copy'
        f" i3d_torchscript.pt into {own_cache / 'weights'} by hand (vidbench weights verify FILE proves that it is the"
        " right one), or use the built-in backbone: --backbone toy3d."
    )


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r'No weights named "i3"\. Did you mean i3d\? Known: i3d, i3d-imagenet\.'):
        load_i3d_state("i3")


def test_a_git_blob_id_is_what_git_says(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello\n")
    assert hashes(tmp_path / "file") == (sha256(tmp_path / "file"), "ce013625030ba8dba906f756967f9e9ca394464a")


def test_a_published_file_is_recognised_by_either_hash() -> None:
    script, canonical, _ = FILES
    assert script.sha256 is not None
    assert is_content_of(script, script.sha256, "")
    assert is_content_of(canonical, "", canonical.blob)
    assert not is_content_of(script, "", "")


def test_an_examination_says_what_a_file_is(
    small: Tensors, small_table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(dict(small), tmp_path / "file")
    found = examine(tmp_path / "file", small_table)
    assert (found.network, found.published_as) == ("i3d", None)
    monkeypatch.setattr("vidbench.weights.state.FILES", [PublicFile("known.pt", "i3d", blob=found.git_blob)])
    assert examine(tmp_path / "file", small_table).published_as == "known.pt"
    assert examine(tmp_path / "file").network is None
    assert "does not hold I3D" in examine(tmp_path / "file").verdict
