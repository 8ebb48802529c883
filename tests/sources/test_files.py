"""Files are written whole or not at all, and the cache lies where VIDBENCH_CACHE says."""

import errno
from pathlib import Path

import pytest

from vidbench.errors import UserError
from vidbench.files import atomic_write, cache_dir


def test_text_and_bytes_are_written_and_folders_made(tmp_path: Path) -> None:
    atomic_write(tmp_path / "new" / "text.txt", "π\n")
    atomic_write(str(tmp_path / "new" / "bytes"), b"\0\1")
    assert (tmp_path / "new" / "text.txt").read_bytes() == "π\n".encode()
    assert (tmp_path / "new" / "bytes").read_bytes() == b"\0\1"
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record.json"
    atomic_write(path, "old")

    def full(self: Path, content: bytes) -> None:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"record\.json cannot be written \(No space left on device\)"):
        atomic_write(path, "new")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("record.json", "old")]


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=str(tmp_path / "file" / "x")):
        atomic_write(tmp_path / "file" / "x", "")


def test_the_environment_moves_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDBENCH_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("VIDBENCH_CACHE")
    assert cache_dir().name == "vidbench"
