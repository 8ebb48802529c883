"""Configurations: validated, frozen, and helpful about wrong keys."""

from dataclasses import dataclass

import pytest
from pydantic import Field, ValidationError

from vidbench import config
from vidbench.datasets import DataSet, load_dataset
from vidbench.errors import UserError
from vidbench.protocol import ClipProtocol, load_protocol


class Oven(config.Config):
    name: str
    """Its name."""
    degrees: int = Field(180, ge=0)
    """How hot."""
    trays: tuple[str, ...] = ()
    """What is in it."""


class Plate(config.Config):
    width: int = 20
    """Of it."""


@dataclass
class Light:
    watts: int = 40


class Kitchen(config.Config):
    stove: Plate | None = None
    """None: there is no stove."""
    plates: tuple[Plate, ...] = (Plate(), Plate())
    """In a row."""
    named: dict[str, Plate] = {}  # noqa: RUF012
    """By their owners."""
    light: Light = Light()
    """Over the table."""
    clock: int | None = None
    """How late it is."""
    hours: tuple[float, float] = (8, 20)
    """From when until when it is used."""


@pytest.mark.parametrize("name", config.names("datasets"))
def test_every_shipped_data_set_is_valid_and_has_the_name_of_its_file(name):
    card = load_dataset(name)
    assert card.name == name
    assert (card.path is None) == (card.frames > 0)


@pytest.mark.parametrize("name", config.names("metrics"))
def test_every_shipped_metric_is_valid_and_has_the_name_of_its_file(name):
    assert load_protocol(name).name == name


@pytest.mark.parametrize("kind", [ClipProtocol, DataSet])
def test_every_field_of_a_configuration_is_documented(kind):
    assert [name for name, field in kind.model_fields.items() if not field.description] == []


def test_an_unknown_key_is_answered_with_the_nearest_one_and_with_all():
    with pytest.raises(UserError) as caught:
        config.parse(Oven, "degres: 200", "oven.yaml", name="oven")
    assert str(caught.value) == 'oven.yaml: unknown key "degres". Did you mean degrees? Known: name, degrees, trays.'


def test_a_wrong_value_is_told_with_its_file_and_key():
    with pytest.raises(UserError, match=r"oven\.yaml: degrees = -1: .*greater than or equal to 0"):
        config.parse(Oven, "degrees: -1", "oven.yaml", name="oven")


def test_a_missing_key_is_told():
    with pytest.raises(UserError, match=r"oven\.yaml: name.*required"):
        config.parse(Oven, "degrees: 200", "oven.yaml")


@pytest.mark.parametrize("text", ["degrees: [1", "- degrees", "", "1: 2", "a: b: c", "\x00"])
def test_what_is_no_set_of_keys_and_values_is_refused_with_its_name(text):
    with pytest.raises(UserError, match=r"oven\.yaml"):
        config.parse(Oven, text, "oven.yaml", name="oven")


def test_a_file_gives_its_name_to_the_configuration(tmp_path):
    (tmp_path / "big.yaml").write_text("degrees: 250\n")
    assert config.load(Oven, tmp_path / "big.yaml") == Oven(name="big", degrees=250)


def test_a_file_may_give_itself_another_name(tmp_path):
    (tmp_path / "big.yaml").write_text("name: small\n")
    assert config.load(Oven, tmp_path / "big.yaml").name == "small"


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.yaml cannot be read"):
        config.load(Oven, tmp_path / "none.yaml")


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"binary\.yaml cannot be read"):
        config.load(Oven, tmp_path / "binary.yaml")


def test_the_value_of_a_change_is_read_as_yaml():
    changed = config.change(Oven(name="oven"), ["degrees=90", "trays=[bread, cake]"])
    assert changed == Oven(name="oven", degrees=90, trays=("bread", "cake"))


def test_a_change_may_contain_an_equals_sign():
    assert config.change(Oven(name="oven"), ["name=a=b"]).name == "a=b"


@pytest.mark.parametrize("change", ["degrees", "degres=1", "degrees=hot", "degrees=[1"])
def test_a_change_that_makes_no_sense_is_refused_with_its_origin(change):
    with pytest.raises(UserError, match="--set"):
        config.change(Oven(name="oven"), [change])


def test_a_change_reaches_into_lists_and_into_sections_that_were_not_there():
    changed = config.change(
        Kitchen(), ["hours.0=9.5", "plates.1.width=30", "stove.width=60", "light.watts=60", "named.ann.width=25"]
    )
    assert changed == Kitchen(
        stove=Plate(width=60), plates=(Plate(), Plate(width=30)), named={"ann": Plate(width=25)},
        light=Light(60), hours=(9.5, 20),
    )  # fmt: skip


def test_a_section_can_be_taken_away():
    assert config.change(Kitchen(stove=Plate()), ["stove=null"]).stove is None


@pytest.mark.parametrize("part", ["stove", "plates.1", "named.ann", "light"], ids=lambda part: f"in {part}")
def test_an_unknown_key_of_a_section_is_answered_with_the_nearest_one_wherever_the_section_stands(part):
    wrong, right = ("wats", "watts") if part == "light" else ("widht", "width")
    with pytest.raises(UserError) as caught:
        config.change(Kitchen(), [f"{part}.{wrong}=3"])
    assert str(caught.value) == f'--set: unknown key "{part}.{wrong}". Did you mean {right}? Known: {right}.'


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ("hours.2=3", "hours is a list of 2, counted from 0, and has no 2."),
        ("hours.-1=3", "hours is a list of 2, counted from 0, and has no -1."),
        ("hours.first.x=3", "hours is a list of 2, counted from 0, and has no first."),
        ("hours.0.x=3", "0 is a value, and has no x."),
        ("plates.5.width=3", "plates is a list of 2, counted from 0, and has no 5."),
    ],
)
def test_a_path_that_leads_nowhere_is_refused_where_it_ends(change, answer):
    with pytest.raises(UserError) as caught:
        config.change(Kitchen(), [change])
    assert str(caught.value) == f"--set {change}: {answer}"


@pytest.mark.parametrize("change", ["clock.x=1", "hours=3", "hours.0=noon", "plates.0=3", ".=1", "a..b=1", "stove.=1"])
def test_no_path_or_value_ends_in_a_traceback(change):
    with pytest.raises(UserError, match="--set"):
        config.change(Kitchen(), [change])


def test_a_change_leaves_the_configuration_as_it_was():
    oven = Oven(name="oven")
    config.change(oven, ["degrees=90"])
    assert oven.degrees == 180


def test_a_configuration_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Oven(name="oven").degrees = 90
