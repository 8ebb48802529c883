"""Records: believed a year later, compared only where that makes sense."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vidbench.errors import UserError
from vidbench.record import (
    SCHEMA,
    Backbone,
    Counts,
    Curve,
    Record,
    Side,
    differences,
    identity,
    load_record,
    require_comparable,
)
from vidbench.record import versions as present_versions

OTHER_REAL = Side(name="road", kind="png", fingerprint="ef" * 32, counts=Counts(asked=512, available=100, used=512))


@pytest.mark.parametrize("part", [Record, Side, Counts, Curve, Backbone])
def test_every_field_of_a_record_is_documented(part):
    assert [name for name, field in part.model_fields.items() if not field.description] == []


def test_a_record_is_frozen(make_record):
    with pytest.raises(ValidationError, match="frozen"):
        make_record().value = 0.0


def test_a_record_is_read_as_it_was_written(make_record, make_drift, tmp_path):
    for record in (make_record(), make_drift("wheel", [1.0, 0.9, 0.8, 0.7, 0.6])):
        assert load_record(record.save(tmp_path)) == record


def test_a_record_from_before_terms_had_errors_is_read(make_record, tmp_path):
    path = make_record(terms_se={"mean": 0.5}).save(tmp_path)
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "terms_se"}))
    assert load_record(path).terms_se == {}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_digit_of_a_value_is_lost(make_record, value):
    record = make_record(value=value)
    assert Record.model_validate_json(record.model_dump_json()).value == value


def test_a_record_says_which_versions_decided_it(make_record):
    assert set(make_record().versions) == {"python", "vidbench", "torch", "numpy", "scipy", "pillow", "av"}
    assert make_record().versions == present_versions()


def test_records_that_differ_in_nothing_that_counts_are_comparable(make_record):
    other = make_record(model="sled", value=1.0, se=None, key="f" * 64, device="cuda", seconds=9.0, warnings=["look"])
    assert differences(make_record(), other) == []
    require_comparable([make_record(), other, make_record()])


@pytest.mark.parametrize(
    ("protocol", "values", "expected"),
    [
        ({"seed": 1}, {}, ["seed differs (0, 1)"]),
        ({"size": (64, 64)}, {}, ["size differs ([32, 32], [64, 64])"]),
        ({"split": "train"}, {}, ["split differs (None, train)"]),
        ({"clips": 64}, {}, ["name differs (fvd16@512, fvd16@64)", "clips differs (512, 64)"]),
        ({}, {"measure_version": 2}, ["measure version differs (1, 2)"]),
        ({}, {"numeric_mode": "bfloat16"}, ["numeric mode differs (float32, bfloat16)"]),
        ({}, {"real": OTHER_REAL}, ["real set differs (road@cdcdcdcdcdcd, road@efefefefefef)"]),
    ],
)
def test_the_differences_are_exactly_the_fields_that_differ(make_record, protocol, values, expected):
    assert differences(make_record(), make_record(protocol, **values)) == expected


def test_another_backbone_is_one_difference(make_record):
    other = make_record(backbone=Backbone(name="toy3d", version=2, tensor_hash="ff" * 32))
    [difference] = differences(make_record(), other)
    assert difference.startswith("backbone differs")


def test_what_the_weights_were_proven_to_be_is_read_as_it_was_written(make_record, tmp_path):
    backbone = Backbone(name="i3d", version=1, tensor_hash="ab" * 32, weights="the FVD weights (230 of 230 variables)")
    record = make_record(backbone=backbone, numeric_mode="bfloat16")
    again = load_record(record.save(tmp_path))
    assert (again.backbone, again.numeric_mode) == (backbone, "bfloat16")


def test_weights_that_nobody_proved_are_none(make_record):
    assert make_record().backbone.weights is None
    assert make_record().numeric_mode == "float32"


def test_a_floor_on_one_half_stands_beside_the_scores_against_the_whole_set(make_record):
    whole, floor = make_record(), make_record(real=OTHER_REAL, model="real", floor_of="cd" * 32)
    require_comparable([whole, floor])
    require_comparable([floor, whole])
    assert differences(whole, floor) == ["real set differs (road@cdcdcdcdcdcd, road@efefefefefef)"]


@pytest.mark.parametrize("floor_of", [None, "aa" * 32])
def test_a_score_against_another_set_that_is_no_floor_of_this_one_is_refused(make_record, floor_of):
    with pytest.raises(UserError, match="real set differs"):
        require_comparable([make_record(), make_record(real=OTHER_REAL, floor_of=floor_of)])


def test_a_floor_under_another_protocol_is_refused(make_record):
    with pytest.raises(UserError, match="seed differs"):
        require_comparable([make_record(), make_record({"seed": 1}, real=OTHER_REAL, floor_of="cd" * 32)])


def test_texts_for_people_are_no_difference(make_record):
    assert differences(make_record(), make_record({"about": "another line", "source": "another paper"})) == []


def test_what_cannot_be_compared_is_refused_with_both_names_and_every_difference(make_record):
    with pytest.raises(UserError) as caught:
        require_comparable([make_record(), make_record(), make_record({"seed": 3}, model="sled", measure_version=2)])
    assert "wheel and sled cannot be compared" in str(caught.value)
    assert "seed differs (0, 3); measure version differs (1, 2)" in str(caught.value)


def test_no_record_and_one_record_are_comparable(make_record):
    require_comparable([])
    require_comparable([make_record()])


def test_a_record_of_a_newer_vidbench_is_refused(make_record, tmp_path):
    values = {**json.loads(make_record().model_dump_json()), "schema_version": SCHEMA + 1, "new": "field"}
    (tmp_path / "new.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=rf"new\.json was written by a newer vidbench \(schema {SCHEMA + 1}\)"):
        load_record(tmp_path / "new.json")


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "3", '"a"', "{", '{"schema_version": 1}', '{"schema_version": "x"}', "\xff"]
)
def test_a_file_that_is_no_record_is_refused_by_name(tmp_path, text):
    (tmp_path / "other.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"other\.json is not a record of vidbench"):
        load_record(tmp_path / "other.json")


def test_a_record_with_a_field_too_many_is_refused(make_record, tmp_path):
    values = {**json.loads(make_record().model_dump_json()), "colour": "green"}
    (tmp_path / "other.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="is not a record"):
        load_record(tmp_path / "other.json")


@given(st.text(max_size=30), st.text(max_size=30))
def test_the_file_name_is_safe_whatever_models_and_data_sets_are_called(make_record, model, real):
    side = Side(name=real, kind="png", fingerprint=None, counts=Counts(asked=2, available=2, used=2))
    stem = make_record(model=model, real=side).stem()
    assert re.fullmatch(r"[\w.@-]+", stem)
    assert stem.startswith("fvd16@512-")
    assert not stem.startswith(".")


def test_two_long_names_still_make_one_file_name(make_record, tmp_path):
    real = Side(name="r" * 150, kind="png", fingerprint=None, counts=Counts(asked=2, available=2, used=2))
    record = make_record(model="m" * 150, real=real)
    assert load_record(record.save(tmp_path)) == record


def test_scores_of_the_same_name_have_files_of_their_own(make_record):
    assert make_record(key="a" * 64).stem() != make_record(key="b" * 64).stem()


def test_an_identity_does_not_depend_on_the_order_of_keys():
    assert identity({"a": 1, "b": 2}) == identity({"b": 2, "a": 1})
    assert identity("a", "b") != identity("ab")
