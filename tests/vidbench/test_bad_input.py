"""Bad input through the command and the readers of vidbench's own files: exit code 2, and one sentence."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.videos import render, render_frames
from tests.weights.making import Call, pickled, write_zip
from vidbench.cli import cli
from vidbench.errors import UserError
from vidbench.files import atomic_write
from vidbench.metrics.frechet import Frechet
from vidbench.protocol import load_protocol
from vidbench.real_stats import RealStats, load_real_stats, save_real_stats
from vidbench.record import Counts, Side, load_record

SECONDS = 5
STATISTICS = type(Frechet(3).statistics())


def mistake(*arguments: object) -> str:
    """What the command says of a user's mistake."""
    began = time.process_time()
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert time.process_time() - began < SECONDS
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    return line


# Through the command


def png_named_mp4(folder: Path) -> Path:
    return (render_frames(folder / "set", 1) / "000000.png").rename(folder / "x.mp4")


def truncated(folder: Path) -> Path:
    path = render(folder / "x.mp4", 10)
    os.truncate(path, path.stat().st_size * 3 // 4)
    return path


def text(folder: Path) -> Path:
    (folder / "x.mp4").write_text("text\n" * 99)
    return folder / "x.mp4"


def empty(folder: Path) -> Path:
    (folder / "x.mp4").touch()
    return folder / "x.mp4"


def link(folder: Path) -> Path:
    (folder / "x.mp4").symlink_to("nowhere")
    return folder / "x.mp4"


def outside(folder: Path) -> Path:
    return write_zip(folder / "x.zip", b"", {"../../evil.png": b""})


def array(folder: Path) -> Path:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1000000000, 6, 8, 3)}"
    (folder / "x.npy").write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header)
    return folder / "x.npy"


@pytest.mark.parametrize("make", [png_named_mp4, truncated, text, empty, link, outside, array])
def test_eval_refuses_bad_videos_by_name(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    np.save(tmp_path / "real.npy", np.random.default_rng(0).integers(0, 256, (3, 16, 8, 8, 3), np.uint8))
    path = make(tmp_path)
    asked = ("eval", "--metric", "fvd16@2", "--backbone", "toy3d", "--workers", 0, "--out", tmp_path / "runs")
    assert path.name in mistake(*asked, "--fake", path, "--real", tmp_path / "real.npy")


@pytest.mark.parametrize("make", [png_named_mp4, truncated, text, empty])
def test_inspection_counts_bad_videos_and_says_why(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    result = CliRunner().invoke(cli, ["data", "inspect", str(path), "--workers", "0", "--json"])
    assert list(json.loads(result.stdout)["unreadable"]) == [path.name]


@pytest.mark.parametrize(
    "content", [b"", b"text", b"PK\3\4", pickled(Call(os.system, "touch ran"))], ids=["empty", "text", "zip", "pickle"]
)
def test_weights_that_are_none_are_refused_and_nothing_runs(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pt").write_bytes(content)
    for path in (tmp_path / "w.pt", write_zip(tmp_path / "z.pt", content, {})):
        assert path.name in mistake("weights", "verify", path)
        asked = ("eval", "--metric", "fvd16@2", "--backbone", "i3d", "--data", "toy-ride", "--workers", 0)
        assert path.name in mistake(*asked, "--weights", path, "--model", "noise", "--out", tmp_path / "runs")
    assert not (tmp_path / "ran").exists()


def test_names_that_no_terminal_shows_are_shown_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "set" / os.fsdecode(b"\xff\n\x1b[31m.mp4")
    path.parent.mkdir()
    path.write_text("text")
    said = mistake("eval", "--fake", path.parent, "--data", "toy-ride", "--clips", 2, "--workers", 0, "--out", tmp_path)
    assert said.isprintable() and ".mp4: it is not a video" in said
    command = [sys.executable, "-m", "vidbench", "data", "inspect", path.parent, "--workers", "0"]
    assert "it is not a video" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("message", ["a\nb", "a\x1b[2Jb", "\ud800", "a" * 10**6])
def test_an_error_is_one_line_that_can_be_read(message: str) -> None:
    shown = str(UserError(message))
    assert shown.isprintable() and 0 < len(shown) < 2000
    assert str(UserError("Größe: 3 × 4 …")) == "Größe: 3 × 4 …"


# Records


RECORDS = {
    "a nest": b"[" * 100_000,
    "a nest in a value": b'{"schema_version": 1, "value": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number of many digits": b'{"schema_version": 1, "value": ' + b"9" * 10_000 + b"}",
    "a version of many digits": b'{"schema_version": ' + b"9" * 4000 + b"}",
    "half a character": b'{"schema_version": 1, "\\ud800": "\\udc00"}',
    "no text": b"\xff\xfe\x00",
    "a version that is no number": b'{"schema_version": [1]}',
    "a name that is empty": b'{"": 1}',
}


@pytest.mark.parametrize("content", RECORDS.values(), ids=RECORDS)
def test_a_file_that_is_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.json") as caught:
        load_record(tmp_path / "x.json")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 2000


def test_a_record_larger_than_any_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UserError, match="more than"):
        load_record(tmp_path / "x.json")


def test_what_is_wrong_in_a_record_is_named(make_record: Callable, tmp_path: Path) -> None:
    values = json.loads(make_record().model_dump_json())
    values["real"]["counts"]["used"] = "many"
    (tmp_path / "x.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"real\.counts\.used"):
        load_record(tmp_path / "x.json")


# Configurations


LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
YAML = {
    "a nest": "[" * 20_000,
    "a day that is none": "seed: 2001-02-31",
    "a billion laughs": LAUGHS + "clips: *a59\n",
    "a call": "!!python/object/apply:os.system [touch ran]",
}


@pytest.mark.parametrize("content", YAML.values(), ids=YAML)
def test_a_hostile_configuration_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(content)
    with pytest.raises(UserError, match=r"x\.yaml"):
        load_protocol("x.yaml")
    assert not Path("ran").exists()


def test_a_hostile_value_is_not_printed_whole(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2].joinpath("configs", "metrics", "fvd16.yaml").read_text()
    (tmp_path / "x.yaml").write_text(shipped.replace("clips: ", "clips: &c ") + "size: " + "[" * 20 + "x" + "]" * 20)
    with pytest.raises(UserError, match="size") as caught:
        load_protocol(str(tmp_path / "x.yaml"))
    assert len(str(caught.value)) < 1000


# Real statistics


@pytest.fixture
def stats(tmp_path: Path) -> Path:
    groups = [Frechet(3).statistics() for _ in range(20)]
    for number, group in enumerate(groups):
        group.update(torch.full((4, 3), float(number)))
    side = Side(name="road", kind="png", fingerprint="ab", counts=Counts(asked=2, available=2, used=2))
    save_real_stats(RealStats(load_protocol("fvd16"), {}, side, "key", groups, []), tmp_path / "x.safetensors")
    assert len(load_real_stats(tmp_path / "x.safetensors", STATISTICS).groups) == 20
    return tmp_path / "x.safetensors"


CHANGES: dict[str, dict[str, torch.Tensor]] = {
    "a mean without axes": {"3/mean": torch.tensor(1.0)},
    "a mean of other length": {"3/mean": torch.zeros(4, dtype=torch.float64)},
    "a scatter of other size": {"3/scatter": torch.zeros(4, 3)},
    "several counts": {"3/count": torch.zeros(2)},
    "a count that is no number": {"3/count": torch.tensor(float("nan"))},
    "endless counts": {"3/count": torch.tensor(float("inf"))},
    "strange numbers": {"3/mean": torch.zeros(3, dtype=torch.bfloat16)},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_real_statistics_that_do_not_fit_together_are_refused(stats: Path, change: dict[str, torch.Tensor]) -> None:
    with safe_open(stats, "pt") as file:
        metadata = file.metadata()
    save_file({**load_file(stats), **change}, stats, metadata)
    with pytest.raises(UserError, match=r"x\.safetensors does not hold real statistics"):
        load_real_stats(stats, STATISTICS)


@pytest.mark.parametrize("about", ["[" * 100_000, "null", "[]", "{}", '{"protocol": 3}', '{"protocol": {}}'])
def test_real_statistics_about_nothing_are_refused(stats: Path, about: str) -> None:
    save_file(load_file(stats), stats, {"vidbench real statistics": about})
    with pytest.raises(UserError, match=r"x\.safetensors does not hold real statistics"):
        load_real_stats(stats, STATISTICS)


@pytest.mark.parametrize("content", [b"", b"text", b"\xff" * 8 + b"{", b"\2\0\0\0\0\0\0\0{}"])
def test_what_holds_no_real_statistics_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.safetensors does not hold real statistics"):
        load_real_stats(tmp_path / "x.safetensors", STATISTICS)


# Full disks and folders that cannot be written to


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process grows beyond 4 kB: the system refuses as a full disk does."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_fills_up_in_the_middle_leaves_the_old_file(tmp_path: Path, full_disk: None) -> None:
    (tmp_path / "x.json").write_text("old")
    with pytest.raises(UserError, match=r"x\.json cannot be written \(File too large\)"):
        atomic_write(tmp_path / "x.json", "new" * 10_000)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x.json", "old")]


def test_rendering_to_a_disk_that_fills_up_leaves_nothing(tmp_path: Path, full_disk: None) -> None:
    for form, name in (("npy", "x.npy"), ("zip", "x.zip"), ("png", "x")):
        asked = ("data", "render", "toy-sky", tmp_path / name, "-n", 1, "--frames", 4, "--size", 128, "--as", form)
        assert "x" in mistake(*asked)
    assert list(tmp_path.rglob("*.*")) == []


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, content: bytes) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(UserError, match=r"x\.json cannot be written \(Read-only file system\)"):
        atomic_write(tmp_path / "x.json", "new")
    assert list(tmp_path.iterdir()) == []
