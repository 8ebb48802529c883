"""Configurations: validated, frozen, and helpful about wrong keys."""

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


def test_a_change_leaves_the_configuration_as_it_was():
    oven = Oven(name="oven")
    config.change(oven, ["degrees=90"])
    assert oven.degrees == 180


def test_a_configuration_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Oven(name="oven").degrees = 90
