"""`vidbench regress` on a plug-in's model, as a user would run it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tests.e2e.running import Run
from tests.vidbench.systems import settings
from vidbench import regression
from vidbench.cli import cli
from vidbench.registry import MODELS
from vidbench.regression import Variant


@pytest.fixture(scope="module")
def bands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the configuration of a plug-in's model, and bands that the command measured."""
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("bands")
    (site / "painter-1.0.dist-info").mkdir()
    (site / "painter-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: painter\nVersion: 1.0\n")
    entry = "[vidbench.models]\npaint = tests.vidbench.systems:Paint\n"
    (site / "painter-1.0.dist-info" / "entry_points.txt").write_text(entry)
    values = settings().model_dump(exclude={"name"})
    (folder / "paint.yaml").write_text(yaml.safe_dump(values))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        patch.setattr(regression, "VARIANTS", (Variant(1), Variant(2), Variant(1, nudge=1)))
        vars(MODELS).pop("_points", None)
        asked = ["regress", "--baselines", str(folder), "--update", "--reason", "the first bands"]
        result = CliRunner().invoke(cli, asked)
        assert result.exit_code == 0, result.output
        assert f"Bands: {folder / 'paint.json'}" in result.stderr
        yield folder
    vars(MODELS).pop("_points", None)


def test_it_passes_twice_in_a_row(run: Run, bands: Path) -> None:
    for _ in range(2):
        result = run("regress", "--baselines", bands)
        assert "paint: first 6 steps, second 6 steps; against bands of" in result.stderr
        assert "(the first bands)" in result.stderr
        assert "numbers are within their bands" in result.stderr
        assert result.stdout == ""
    assert not list(Path().iterdir())


def test_a_number_out_of_its_band_fails_and_is_named(run: Run, bands: Path, tmp_path: Path) -> None:
    values = json.loads((bands / "paint.json").read_text())
    band = values["bands"]["second: loss"][3]
    band[0] += 3 * band[1]
    (tmp_path / "paint.json").write_text(json.dumps(values))
    (tmp_path / "paint.yaml").write_bytes((bands / "paint.yaml").read_bytes())
    asked = ("regress", "--model", "paint", "--baselines", tmp_path)
    result = run(*asked, code=1)
    assert "paint: what moved" in result.stdout and "second: loss" in result.stdout and "1/6" in result.stdout
    assert "1 readings moved, the first of them 'second: loss'" in result.stderr
    [found] = json.loads(run(*asked, "--json", code=1).stdout).values()
    assert not found["passed"]
    assert [(row["reading"], row["place"]) for row in found["moved"]] == [("second: loss", 4)]


def test_other_settings_are_said_instead_of_run(run: Run, bands: Path, tmp_path: Path) -> None:
    (tmp_path / "paint.json").write_bytes((bands / "paint.json").read_bytes())
    values = yaml.safe_load((bands / "paint.yaml").read_text())
    values["stages"]["first"]["lr"] = 0.06
    (tmp_path / "paint.yaml").write_text(yaml.safe_dump(values))
    said = run("regress", "--baselines", tmp_path, code=1).stderr
    assert "the bands are of other settings: config.stages.first.lr differs (0.05, 0.06)" in said


def test_new_bands_keep_the_reasons_of_the_old_ones(run: Run, bands: Path, tmp_path: Path) -> None:
    for name in ("paint.json", "paint.yaml"):
        (tmp_path / name).write_bytes((bands / name).read_bytes())
    run("regress", "--baselines", tmp_path, "--update", "--reason", "a better loss")
    reasons = json.loads((tmp_path / "paint.json").read_text())["reasons"]
    assert [reason["reason"] for reason in reasons] == ["the first bands", "a better loss"]
    assert "torch" in reasons[1]["versions"]


def test_a_dry_run_says_what_would_be_checked(run: Run, bands: Path) -> None:
    assert "paint: first 6 steps" in run("regress", "--baselines", bands, "--dry-run").stderr
    asked = ("--update", "--reason", "none", "--dry-run")
    assert "3 times, for new bands" in run("regress", "--baselines", bands, *asked).stderr
    shipped = run("regress", "--model", "metrics", "--model", "stylegan-v", "--dry-run").stderr
    assert "metrics: every preset, backbone and measure" in shipped and "stylegan-v: gan 12 steps" in shipped


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--update"], "say why, with --reason TEXT"),
        (["--update", "--reason", " "], "say why, with --reason TEXT"),
        (["--reason", "none"], "--reason is for --update"),
        (["--model", "stylegan"], "Did you mean stylegan-v?"),
        (["--model", "freeze"], "freeze has no tier ci"),
        (["--baselines", "nowhere"], "nowhere configures no model"),
        (["--baselines", "."], "configures no model"),
        (["--baselines", ".", "--model", "stylegan-v"], "There are no bands of stylegan-v"),
    ],
)
def test_a_mistake_ends_in_one_sentence(run: Run, asked: list[str], message: str) -> None:
    assert message in " ".join(run("regress", *asked, code=2).stderr.split())
    assert not list(Path().iterdir())
