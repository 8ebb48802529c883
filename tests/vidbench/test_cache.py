"""The cache: what is counted, and that clearing removes nothing but what vidbench has made there."""

import fcntl
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from vidbench import cache
from vidbench.cache import clear, items, readable
from vidbench.errors import UserError
from vidbench.sources.kept import STOPPED, keep

KEY = "ab" * 32
PART = f".{'0' * 32}.part"


def block(folder, label: str | None = "fvd16@512[toy3d] real toy-ride"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"00000000-{'ef' * 8}.safetensors"
    save_file({"features": np.zeros(4)}, path, {"label": label} if label else {})
    return path


def frames_block(folder):
    path = folder / f"{'ab' * 12}-000000.safetensors"
    keep(path, np.zeros((3, 2, 4, 4), np.uint8), "my videos 4x4")
    return path


@pytest.fixture
def full(own_cache):
    """A cache with something of every kind in it."""
    block(own_cache / "features" / KEY)
    frames_block(own_cache / "frames" / KEY)
    for name in (
        f"features/{KEY}/{PART}",
        f"features/{KEY}/salt-and-pepper-{'01' * 8}.safetensors",
        f"frames/{KEY}/{PART}",
        f"index/{'cd' * 12}.json",
        "weights/i3d_torchscript.pt",
        "weights/i3d.safetensors",
    ):
        path = own_cache / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"12345")
    return own_cache


def files(folder) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def test_everything_is_counted_by_kind_and_metric(full):
    found = {(item.kind, item.name): item for item in items()}
    assert {(kind, name.split()[0]) for kind, name in found} == {
        ("features", "fvd16@512[toy3d]"),
        ("frames", "my"),
        ("index", "what"),
        ("weights", "i3d_torchscript.pt"),
        ("weights", "i3d.safetensors"),
    }
    features = found["features", "fvd16@512[toy3d]"]
    assert len(features.files) == 3
    assert features.bytes == sum(path.stat().st_size for path in (full / "features" / KEY).iterdir())
    frames = found["frames", "my videos 4x4"]
    assert len(frames.files) == 2 and frames.bytes > 96
    assert features.written == max(path.stat().st_mtime for path in features.files)


def test_an_empty_cache_has_nothing_and_clearing_it_is_no_mistake(own_cache):
    own_cache.rmdir()
    assert list(items()) == [] and clear(cache.KINDS) == ([], [])
    assert not own_cache.exists()


@pytest.mark.parametrize("kind", cache.KINDS)
def test_one_kind_is_cleared_and_the_others_stay(full, kind):
    before = files(full)
    removed, in_use = clear([kind])
    assert in_use == [] and {item.kind for item in removed} == {kind}
    assert files(full) == {name for name in before if not name.startswith(kind)}
    assert [item for item in items() if item.kind == kind] == []


def test_a_dry_run_removes_nothing_and_says_the_same(full):
    before = files(full)
    would, _ = clear(cache.KINDS, dry_run=True)
    assert files(full) == before
    assert clear(cache.KINDS)[0] == would
    assert files(full) == set()


def test_what_vidbench_has_not_made_stays(full):
    foreign = ["notes.txt", "features/thesis.tex", f"features/{KEY}/notes.txt", "features/mine/a.safetensors",
               f"frames/{KEY}/holiday.png", "frames/mine/a.safetensors",
               "index/mine.json", "weights/my_model.pt", "weights/i3d/holiday.jpg"]  # fmt: skip
    for name in foreign:
        (full / name).parent.mkdir(exist_ok=True, parents=True)
        (full / name).write_text("mine")
    clear(cache.KINDS)
    assert files(full) == set(foreign)


def test_links_are_not_followed(full, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    precious = [block(elsewhere / "folder"), block(elsewhere / "of-a-block")]
    (full / "features" / ("cd" * 32)).symlink_to(elsewhere / "folder")
    (full / "features" / KEY / f"00000064-{'ef' * 8}.safetensors").symlink_to(precious[1])
    (elsewhere / "index").mkdir()
    precious.append(elsewhere / "index" / f"{'01' * 12}.json")
    precious[-1].write_text("{}")
    (full / "index" / f"{'cd' * 12}.json").unlink()
    (full / "index").rmdir()
    (full / "index").symlink_to(elsewhere / "index")
    clear(cache.KINDS)
    assert all(path.is_file() for path in precious)


def test_features_that_another_run_is_at_are_left(full):
    other = "01" * 32
    block(full / "features" / other)
    with FileLock(str(full / "features" / f"{KEY}.lock")):
        removed, in_use = clear(["features"])
    assert [item.path.name for item in in_use] == [KEY] and [item.path.name for item in removed] == [other]
    assert (full / "features" / KEY).is_dir() and not (full / "features" / other).exists()
    assert [item.path.name for item in clear(["features"])[0]] == [KEY]


def test_weights_that_are_being_fetched_are_left(full):
    handle = os.open(full / "weights", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    removed, in_use = clear(["weights"])
    os.close(handle)
    assert removed == [] and len(in_use) == 2 and (full / "weights" / "i3d.safetensors").exists()


def test_frames_are_left_while_another_run_writes_some(full):
    handle = os.open(full / "frames", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    removed, in_use = clear(["frames"])
    os.close(handle)
    assert removed == [] and [item.path.name for item in in_use] == [KEY]
    assert len(files(full / "frames")) == 2
    assert [item.path.name for item in clear(["frames"])[0]] == [KEY]
    assert not any((full / "frames").iterdir())


def test_a_run_goes_on_keeping_frames_while_they_are_cleared(own_cache):
    removed, done = [], Event()

    def write():
        while not done.wait(0.001):
            frames_block(own_cache / "frames" / KEY)

    with warnings.catch_warnings(), ThreadPoolExecutor(1) as pool:
        warnings.simplefilter("error")
        writer = pool.submit(write)
        while len(removed) < 100 and not writer.done():
            removed += clear(["frames"])[0]
        done.set()
        writer.result()
    assert len(removed) == 100 and not STOPPED[0]


def test_a_block_that_says_no_metric_or_is_none_is_counted_all_the_same(own_cache):
    block(own_cache / "features" / KEY, label=None)
    block(own_cache / "features" / ("cd" * 32)).write_bytes(b"broken")
    assert [item.name for item in items()] == ["unknown", "unknown"]


def test_what_cannot_be_removed_is_named(full, monkeypatch):
    def refuse(self, missing_ok=False):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(full), "unlink", refuse)
    with pytest.raises(UserError, match="cannot be removed \\(Permission denied\\)"):
        clear(["index"])


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**20, "5.0 MiB"), (2**41, "2048.0 GiB")]
)
def test_sizes_for_people(size, text):
    assert readable(size) == text


@given(st.integers(0, 2**50))
def test_sizes_keep_their_magnitude(size):
    number, unit = readable(size).split()
    assert float(number) * 1024 ** ["B", "KiB", "MiB", "GiB"].index(unit) == pytest.approx(size, rel=0.06)
