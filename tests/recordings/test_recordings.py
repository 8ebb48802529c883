"""Every recording below VIDBENCH_REFERENCE (default: the small set of `tests/reference`) is reproduced."""

import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from . import PENDING, check_of, collect, folders, load, metrics

pytestmark = pytest.mark.recordings

REFERENCE = Path(os.environ.get("VIDBENCH_REFERENCE") or Path(__file__).parents[1] / "reference")
RECORDINGS = collect(REFERENCE)


@pytest.mark.parametrize("path", RECORDINGS, ids=[path.relative_to(REFERENCE).as_posix() for path in RECORDINGS])
def test_recording(path: Path):
    check_of(path)(load(path))


def test_there_are_recordings():
    assert RECORDINGS, f"There is no recording below {REFERENCE}; VIDBENCH_REFERENCE names the directory."


def record(path: Path, component: str | None) -> Path:
    path.parent.mkdir(exist_ok=True)
    save_file({"in/x": torch.zeros(1)}, path, None if component is None else {"component": component})
    return path


def test_a_recording_is_found_by_its_component_alone(tmp_path):
    renamed = record(tmp_path / "elsewhere" / "any name.safetensors", "metrics/frechet")
    assert collect(tmp_path) == [renamed]
    assert check_of(renamed) is metrics.check_frechet


@pytest.mark.parametrize("component", ["metrics/unheard_of", "unheard_of/frechet", "frechet", None])
def test_an_unknown_component_in_a_known_folder_fails(tmp_path, component):
    unknown = record(tmp_path / "metrics" / "frechet_plain.safetensors", component)
    assert collect(tmp_path) == [unknown]
    with pytest.raises(LookupError, match=r"no component|no check knows"):
        check_of(unknown)


def test_a_broken_file_in_a_known_folder_fails(tmp_path):
    broken = record(tmp_path / "metrics" / "frechet_plain.safetensors", "metrics/frechet")
    broken.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert collect(tmp_path) == [broken]
    with pytest.raises(Exception, match="header"):
        check_of(broken)


def test_pending_kinds_and_unregistered_folders_are_left_alone(tmp_path, monkeypatch):
    pending = record(tmp_path / "metrics" / "a.safetensors", "metrics/not_yet")
    assert collect(tmp_path) == [pending]
    monkeypatch.setattr(sys.modules[collect.__module__], "PENDING", ["metrics/not_yet"])
    record(tmp_path / "unregistered" / "a.safetensors", "unregistered/generator")
    record(tmp_path / "unregistered" / "b.safetensors", None)
    assert collect(tmp_path) == []


def test_the_expected_frames_of_a_sample_data_set_are_no_recording(tmp_path):
    folder = tmp_path / "metrics" / "dataset"
    folder.mkdir(parents=True)
    record(folder / "expected.safetensors", None)
    assert collect(tmp_path) == []


def test_weights_beside_their_configuration_are_no_recording(tmp_path):
    weights = record(tmp_path / "video_ldm" / "diffusion_pytorch_model.safetensors", None)
    assert collect(tmp_path) == [weights]
    (tmp_path / "video_ldm" / "config.json").write_text("{}")
    assert collect(tmp_path) == []


def test_no_pending_kind_has_a_check(tmp_path):
    assert folders() >= {component.split("/")[0] for component in PENDING}
    for component in PENDING:
        with pytest.raises(LookupError):
            check_of(record(tmp_path / "pending.safetensors", component))
