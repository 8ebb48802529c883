"""Tables: comparable records only, best first."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from vidbench.errors import UserError
from vidbench.record import Side
from vidbench.tables import grouped, number, table


def text(records):
    console = Console(width=200, file=io.StringIO())
    console.print(table(records))
    return console.file.getvalue()


def test_a_table_has_value_error_terms_and_counts_of_every_model(make_record):
    lines = text([make_record(), make_record(model="sled", value=2.0, se=None)]).splitlines()
    assert ["wheel", "12.5", "0.75", "4.5", "8", "512/512"] in [line.split() for line in lines]
    assert ["sled", "2", "-", "4.5", "8", "512/512"] in [line.split() for line in lines]


def test_a_table_says_metric_real_set_and_protocol(make_record):
    shown = text([make_record()])
    assert "fvd16@512[toy3d] against road" in shown
    assert "512 clips a side, 16 frames, stride 1, 32x32, seed 0" in shown
    assert make_record().protocol_hash[:8] in shown


def test_a_table_refuses_what_cannot_be_compared(make_record):
    with pytest.raises(UserError, match="wheel and sled cannot be compared: seed differs"):
        table([make_record(), make_record({"seed": 1}, model="sled")])


def test_a_floor_made_of_one_half_is_marked_and_explained(make_record):
    half = Side(name="road (half)", kind="png", fingerprint="ef" * 32, counts=make_record().real.counts)
    floor = make_record(model="real", value=1.0, real=half, floor_of="cd" * 32)
    [group] = grouped([make_record(), floor])
    shown = text(group)
    assert "real †" in shown
    assert "wheel †" not in shown
    assert "† one half of the real videos against the other" in " ".join(shown.split())
    assert "against road" in shown
    assert "(half)" not in shown


def test_a_table_without_a_floor_explains_none(make_record):
    assert "†" not in text([make_record()])


def test_records_are_sorted_best_first(make_record):
    [group] = grouped([make_record(value=value) for value in (3.0, 1.0, 2.0)])
    assert [record.value for record in group] == [1.0, 2.0, 3.0]


def test_what_cannot_be_compared_stands_in_tables_of_its_own_in_order_of_appearance(make_record, make_drift):
    mean = [1.0] * 5
    records = [
        make_record({"seed": 1}),
        make_drift("a", mean),
        make_record(),
        make_drift("b", mean),
        make_record({"seed": 1}),
    ]
    groups = grouped(records)
    assert [len(group) for group in groups] == [2, 2, 1]
    for group in groups:
        table(group)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 3), max_size=12))
def test_every_record_is_in_one_table(make_record, seeds):
    records = [make_record({"seed": seed}, value=float(i)) for i, seed in enumerate(seeds)]
    groups = grouped(records)
    assert len(groups) == len(set(seeds))
    assert sorted(record.value for group in groups for record in group) == list(range(len(seeds)))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (12.3456, "12.35"),
        (1234.56, "1235"),
        (-3.0, "-3"),
        (0.001, "0.001"),
        (0.00012345, "1.234e-04"),
        (123456.0, "1.235e+05"),
    ],
)
def test_numbers_have_four_digits_and_an_exponent_only_where_they_need_one(value, shown):
    assert number(value) == shown


@given(st.floats(1e-3, 99999))
def test_a_number_that_people_can_read_has_no_exponent(value):
    assert "e" not in number(value)
    assert float(number(value)) == pytest.approx(value, rel=5e-4)


def test_a_name_in_square_brackets_is_shown_as_it_is(make_record):
    assert "sled[ema]" in text([make_record(model="sled[ema]")])
