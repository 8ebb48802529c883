"""`vidbench weights`, as a user types it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner, Result

from vidbench.cli import VERBS, cli
from vidbench.cli.weights_cmd import command
from vidbench.weights.names import Table
from vidbench.weights.public import PublicFile

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(VERBS, "weights", "weights_cmd")

    def invoke(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, ["weights", *arguments])
        assert result.exit_code == code, result.output
        return result

    return invoke


@pytest.fixture
def as_network(monkeypatch: pytest.MonkeyPatch, small_table: Table) -> None:
    """The few tensors are the network."""
    for module in ("names", "proof"):
        monkeypatch.setattr(f"vidbench.weights.{module}.load_table", lambda: small_table)


@pytest.fixture
def files(small: Mapping[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(dict(small), tmp_path / "fvd.pt")
    torch.save({name: t if ".bn.w" in name else -t for name, t in small.items()}, tmp_path / "imagenet.pt")
    torch.save({name: t * 2 for name, t in small.items()}, tmp_path / "other.pt")
    torch.save({"weight": torch.ones(3)}, tmp_path / "foreign.pt")
    (tmp_path / "page.pt").write_text("<html>")


@pytest.mark.usefixtures("as_network", "files")
def test_verify_says_which_network_it_is(run: Run) -> None:
    assert run("verify", "fvd.pt").stdout == "fvd.pt: these are the FVD weights (6 of 6 variables)\n"
    assert "another network: backbone i3d-imagenet" in run("verify", "imagenet.pt").stdout
    assert len(run("verify", "fvd.pt", "imagenet.pt").stdout.splitlines()) == 2


@pytest.mark.usefixtures("as_network", "files")
def test_verify_fails_for_other_weights_and_for_what_is_none(run: Run) -> None:
    assert run("verify", "other.pt", code=1).stdout == "other.pt: neither: 0 of 6 agree\n"
    assert "neither: foreign.pt does not hold I3D" in run("verify", "foreign.pt", code=1).stdout
    assert "page.pt is not a readable weights file (it is a web page)" in run("verify", "page.pt", code=2).stderr
    assert "none.pt cannot be read" in run("verify", "none.pt", code=2).stderr


@pytest.mark.usefixtures("as_network", "files")
def test_verify_reads_all_files_and_the_worst_counts(run: Run) -> None:
    result = run("verify", "page.pt", "other.pt", "fvd.pt", code=2)
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == ["other.pt", "fvd.pt"]
    assert result.stderr.count("\n") == 1


@pytest.mark.usefixtures("as_network", "files")
def test_verify_as_json(run: Run, tmp_path: Path) -> None:
    first, second, third = json.loads(run("verify", "fvd.pt", "page.pt", "other.pt", "--json", code=2).stdout)
    assert first["network"] == "i3d"
    assert first["verdict"].startswith("these are the FVD weights")
    assert {"file", "published_as", "sha256", "git_blob"} <= set(first)
    assert set(second) == {"file", "error"}
    assert third["network"] is None


def test_verify_says_that_it_is_a_published_file(
    run: Run, as_network: None, files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = json.loads(run("verify", "fvd.pt", "--json").stdout)[0]["git_blob"]
    monkeypatch.setattr("vidbench.weights.state.FILES", [PublicFile("known.pt", "i3d", blob=blob)])
    assert run("verify", "fvd.pt").stdout.endswith("(byte for byte the published known.pt)\n")


def test_fetch_can_say_what_it_would_do(run: Run, own_cache: Path) -> None:
    lines = run("fetch", "--dry-run").stdout.splitlines()
    assert lines[0] == "from: https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1"
    assert lines[1].startswith("from: https://huggingface.co/flateon/FVD-I3D-torchscript/resolve/1c2d61711c52571ad617a")
    assert lines[2] == "size: 51,235,320 bytes"
    assert lines[3] == f"to:   {own_cache}/weights/i3d_torchscript.pt"
    assert not (own_cache / "weights").exists()
    assert "github.com/piergiaj" in run("fetch", "i3d-imagenet", "--dry-run").stdout


@pytest.mark.usefixtures("as_network", "files")
def test_fetch_leaves_proven_weights_alone(run: Run, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "fvd.pt").rename(weights / "i3d_pretrained_400.pt")
    result = run("fetch")
    assert "already" in result.stderr
    assert result.stdout == "i3d: these are the FVD weights (6 of 6 variables)\n"


def test_fetch_without_a_network_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("vidbench.weights.fetch.PAUSES", ())
    file = PublicFile("i3d_torchscript.pt", "i3d", blob="", addresses=("http://127.0.0.1:1/",))
    monkeypatch.setattr("vidbench.weights.public.FILES", (file,))
    error = run("fetch", code=2).stderr
    assert 'Weights "i3d" are not in the cache and could not be fetched (127.0.0.1: Connection refused)' in error
    assert error.count("\n") == 1


def test_an_unknown_name_is_answered_with_the_known_ones(run: Run) -> None:
    assert "Did you mean i3d?" in run("fetch", "i3", "--dry-run", code=2).stderr


def test_every_page_has_examples_and_every_option_help() -> None:
    pages: list[click.Command] = [command, *command.commands.values()]
    for page in pages:
        assert "vidbench weights" in (page.help or "")
        if page is not command:
            assert all(option.help for option in page.params if isinstance(option, click.Option))
