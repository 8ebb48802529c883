"""What is built is whole: sdist and wheel hold every sub-package, every YAML and the published results."""

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NO_ISOLATION = "import sys; from setuptools import build_meta as b; "


def tracked(*folders: str) -> set[str]:
    """Files of the package as an import sees them, below `vidbench/`."""
    kinds = (".bib", ".css", ".csv", ".html", ".js", ".json", ".md", ".py", ".safetensors", ".typed", ".yaml")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    return {str(path.relative_to(ROOT)) for path in found if path.suffix in kinds and "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel built from the unpacked sdist."""
    folder = tmp_path_factory.mktemp("dist")
    copy = tmp_path_factory.mktemp("clone") / "vidbench"
    skip = "--exclude=.git --exclude=.venv --exclude=*.egg-info --exclude=__pycache__ --exclude=runs"
    copy.mkdir()
    subprocess.run(f"tar -C {ROOT} {skip} -cf - . | tar -C {copy} -xf -", shell=True, check=True)
    sdist = subprocess.run(
        [sys.executable, "-c", NO_ISOLATION + f"print(b.build_sdist({str(folder)!r}))"],
        cwd=copy, check=True, capture_output=True, text=True,
    ).stdout.split()[-1]  # fmt: skip
    with tarfile.open(folder / sdist) as archive:
        archive.extractall(folder, filter="data")
    wheel = subprocess.run(
        [sys.executable, "-c", NO_ISOLATION + f"print(b.build_wheel({str(folder)!r}))"],
        cwd=folder / sdist.removesuffix(".tar.gz"), check=True, capture_output=True, text=True,
    ).stdout.split()[-1]  # fmt: skip
    return folder / sdist, folder / wheel


def test_the_wheel_holds_everything_behind_the_links(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as archive:
        names = set(archive.namelist())
    own = {name for name in tracked("vidbench") if not name.startswith(("vidbench/results/", "vidbench/configs/"))}
    linked = {
        f"vidbench/{name}" for name in tracked("models", "metrics", "configs", "results/published", "results/baselines")
    }
    assert own | linked <= names
    assert not {name for name in names if name.startswith("vidbench/results/toy")}  # checkpoints stay in the repository
    assert not {name for name in names if name.split("/")[0] in ("models", "metrics", "configs", "results", "tests")}


def test_the_command_runs_from_the_wheel(built: tuple[Path, Path], tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(environment), "platbase": str(environment)}))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--disable-pip-version-check",
        "--ignore-installed",
    ]
    subprocess.run([python, *install, built[1]], check=True)
    where = subprocess.run(
        [python, "-c", "import vidbench; print(vidbench.__file__)"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert where.stdout.strip().startswith(str(site))
    command = environment / "bin" / "vidbench"
    shown = subprocess.run([command, "list"], check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    assert all(name in shown for name in ("freeze", "toy-ride", "fvd128-s8", "toy3d"))
    scored = [command, "eval", "--metric", "fvd16@8", "--model", "freeze", "--no-references", "--workers", "0"]
    assert "freeze" in subprocess.run(scored, check=True, capture_output=True, text=True, cwd=tmp_path).stdout
