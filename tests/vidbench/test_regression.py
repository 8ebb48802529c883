"""Readings, bands, and what is found to have moved."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.mutations.faults import FAULTS
from tests.vidbench.systems import Paint, make_run
from vidbench.bands import FACTOR, FLOOR, TRAINED_FLOOR, Baseline, Moved, Reason, bands_of, load_baseline, moved
from vidbench.errors import UserError
from vidbench.readings import NUDGE, digest, measure_readings, model_readings, nudged
from vidbench.registry import MODELS
from vidbench.regression import Check, Variant, settings, shipped, subjects, take, taken_apart
from vidbench.runs import build_stage

numbers = st.floats(-1e6, 1e6)


def test_a_digest_is_a_norm_and_projections_in_which_every_tensor_counts_alike() -> None:
    small, large = torch.full((2,), 3.0), torch.full((100, 10), 4.0)
    norm, *projections = digest({"a": small, "b": large})
    assert norm == pytest.approx(5)
    parts = [digest({"a": small})[1:], digest({"b": large})[1:]]
    assert projections == pytest.approx([a + b for a, b in zip(*parts, strict=True)])
    assert digest({"b": large, "a": small}) == pytest.approx([norm, *projections])
    assert digest({"a": 2 * small, "b": 2 * large}) == pytest.approx([2 * value for value in [norm, *projections]])


def test_a_digest_sees_where_things_are_and_what_they_are_called() -> None:
    ramp = torch.arange(6.0)
    assert digest({"a": ramp})[0] == pytest.approx(digest({"a": ramp.flip(0)})[0])
    assert digest({"a": ramp})[1:] != pytest.approx(digest({"a": ramp.flip(0)})[1:], rel=1e-2)
    assert digest({"a": ramp})[1:] != pytest.approx(digest({"b": ramp})[1:], rel=1e-2)


@given(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=5))
def test_bands_hold_every_run_that_they_were_made_of(rows: list[list[float]]) -> None:
    bands = bands_of([{"loss": row} for row in rows], trained=False)
    for row in rows:
        assert moved({"loss": row}, bands) == []


def test_half_a_band_is_the_largest_spread_so_far_and_a_floor() -> None:
    runs = [{"loss": [1.0, 10.0, 2.0]}, {"loss": [1.0, 10.5, 2.1]}]
    bands = bands_of(runs, trained=False)["loss"]
    wide = FACTOR * 0.5 + FLOOR * 10.5
    assert [half for _, half in bands] == pytest.approx([FLOOR * 10.5, wide, wide], rel=1e-2)
    assert [centre for centre, _ in bands] == pytest.approx([1, 10.25, 2.05])


def test_what_is_trained_has_another_floor_from_its_first_step_on() -> None:
    bands = bands_of([{"gan: G at first": [2.0], "gan: loss": [2.0]}], trained=True)
    assert bands == {"gan: G at first": [(2.0, 2 * FLOOR)], "gan: loss": [(2.0, 2 * TRAINED_FLOOR)]}


@pytest.mark.parametrize(
    "runs", [[{"loss": [1.0, math.nan]}], [{"loss": [1.0]}, {"loss": [1.0, 2.0]}], [{"loss": [1.0]}, {}]]
)
def test_what_is_not_finite_or_comes_and_goes_has_no_bands(runs: list[dict[str, list[float]]]) -> None:
    with pytest.raises(UserError, match="loss cannot be given bands"):
        bands_of(runs, trained=True)


def test_what_moved_is_named_with_the_first_number_that_did() -> None:
    bands = {"gone": [(1.0, 0.1)], "still": [(1.0, 0.1)], "loss": [(1.0, 0.1), (2.0, 0.1), (3.0, 0.1)]}
    found = moved({"new": [1.0], "still": [1.05], "loss": [1.0, 2.2, math.nan]}, bands)
    assert [(row.reading, row.out, row.of, row.place) for row in found] == [
        ("new", 1, 0, 0),
        ("loss", 2, 3, 2),
        ("gone", 0, 1, 0),
    ]
    assert found[1].distance == pytest.approx(2)
    assert found[1].cells() == ["2/3", "2", "2.2", "2 ± 0.1", "2"]
    assert found[0].cells()[0] == "1 numbers, 0 bands"
    assert Moved("loss", 1, 1, 1, math.nan, (0.0, 1.0)).distance == math.inf


def test_a_check_says_what_moved_and_that_versions_differ() -> None:
    row = Moved("gan: loss_D", 1, 12, 3, math.nan, (1.0, 0.1))
    found = Check("my-model", 40, [], [row], ["torch differs (2.4, 2.5)"])
    assert not found.passed
    assert "1 readings moved, the first of them 'gan: loss_D'; torch differs (2.4, 2.5)" in found.summary()
    assert json.loads(json.dumps(found.document(), allow_nan=False))["moved"][0]["value"] == "nan"
    other = Check("my-model", 0, ["config.stages.gan.steps differs (12, 13)"], [], [])
    assert not other.passed and "bands are of other settings: config.stages.gan.steps" in other.summary()
    assert Check("my-model", 1234, [], [], []).summary() == "my-model: all 1,234 numbers are within their bands"


def test_a_baseline_survives_its_file_and_damage_is_one_sentence(tmp_path: Path) -> None:
    baseline = Baseline(
        subject="my-model", reasons=[Reason(reason="new")], settings={"seed": 0}, bands={"a": [(1.0, 2.0)], "b": []}
    )
    path = tmp_path / "my-model.json"
    with pytest.raises(UserError, match="There are no bands of my-model"):
        load_baseline(path, "my-model")
    path.write_text(baseline.text())
    assert load_baseline(path, "my-model") == baseline
    with pytest.raises(UserError, match="holds the bands of my-model, not of other"):
        load_baseline(path, "other")
    path.write_text(baseline.text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(UserError, match="newer vidbench"):
        load_baseline(path, "my-model")
    path.write_text("{}")
    with pytest.raises(UserError, match="holds no bands"):
        load_baseline(path, "my-model")


def test_readings_of_a_training_are_the_same_again_and_see_a_nudge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODELS, "load", lambda name: Paint)
    once, again, other = (
        model_readings(make_run(tmp_path / name), ["first", "second"], nudge)
        for name, nudge in (("once", 0), ("again", 0), ("other", 1))
    )
    assert once == again
    assert {
        "first: hue at first",
        "first: hue buffers, moved by step 6",
        "second: hue, moved by step 3",
        "first: hue exp_avg_sq, moved by step 1",
        "first: loss",
        "second: made",
        "samples",
        "samples: a stream",
        "fvd16@6[toy3d] of paint",
        "color-drift@6 of paint: curve",
    } <= once.keys()
    assert len(once["first: loss"]) == 6
    assert once["first: loss"] != other["first: loss"]
    assert once["first: loss"] == pytest.approx(other["first: loss"], rel=1e-4)


def test_a_nudge_is_about_as_large_as_rounding(tmp_path: Path) -> None:
    stage = build_stage(make_run(tmp_path), "first")
    before = stage.networks["hue"].colour.detach().clone()  # type: ignore[union-attr,operator]
    nudged(stage, 1)
    change = (stage.networks["hue"].colour / before - 1).abs()  # type: ignore[operator]
    assert 0 < change.max() < 8 * NUDGE


def test_a_measure_is_read_with_its_uncertainty() -> None:
    value, mean, covariance, error, extrapolated = measure_readings("frechet")["frechet of made-up features"]
    assert value == pytest.approx(mean + covariance) and 0 < error < value and 0 < extrapolated < value


def test_readings_as_on_an_older_processor_take_a_process_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No model named"):
        taken_apart("nothing", tmp_path, Variant(1, older=True))


@pytest.mark.parametrize("subject", subjects(shipped()))
def test_bands_that_ship_are_of_the_settings_that_ship(subject: str) -> None:
    baseline = load_baseline(shipped() / f"{subject}.json", subject)
    assert baseline.settings == settings(subject, shipped())
    assert sum(map(len, baseline.bands.values())) > 100


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{fault.subject}: {fault.name}" for fault in FAULTS])
def test_every_planted_fault_can_be_planted(fault) -> None:
    compile(fault.planted(), fault.file, "exec")


def test_number_of_threads_and_environment_are_left_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    monkeypatch.delenv("VIDBENCH_CACHE")
    with pytest.raises(UserError, match="No model named"):
        take("nothing", tmp_path, Variant(before + 1))
    assert torch.get_num_threads() == before
