"""The registry: names to things, the built-in ones and those of a plug-in by the same door."""

import sys

import pytest

from vidbench.cards import all_cards, find_card
from vidbench.datasets import load_dataset
from vidbench.errors import UserError
from vidbench.registry import BACKBONES, DATASETS, MEASURES, MODELS

MODEL = '''
class Wheel:
    """Turns.

    For ever.
    """
    version = 3
    card = {"title": "A wheel"}
'''
DATA_SET = """
from vidbench.datasets import DataSet
card = DataSet(name="road", title="Road", about="A road", licence="none", home="https://example.org", path="road")
"""


@pytest.mark.parametrize(
    ("registry", "name"),
    [(registry, name) for registry in (MODELS, DATASETS, BACKBONES, MEASURES) for name in registry.names()],
)
def test_everything_built_in_can_be_imported(registry, name):
    assert callable(registry.load(name))


def test_an_unknown_name_is_answered_with_the_nearest_one_and_with_all():
    with pytest.raises(UserError) as caught:
        MODELS.load("freez")
    assert str(caught.value) == f'No model named "freez". Did you mean freeze? Known: {", ".join(MODELS.names())}.'


def test_a_name_that_resembles_none_is_answered_with_all():
    with pytest.raises(UserError) as caught:
        BACKBONES.load("x")
    assert str(caught.value) == f'No backbone named "x". Known: {", ".join(BACKBONES.names())}.'


def test_a_plug_in_loads_like_what_is_built_in(plug_in):
    plug_in("wheels", "vidbench.models", {"wheel": "plug_wheel:Wheel"}, plug_wheel=MODEL)
    assert "wheel" in MODELS.names()
    assert MODELS.load("wheel").version == 3


def test_the_names_are_known_without_an_import(plug_in):
    plug_in("wheels", "vidbench.models", {"wheel": "plug_wheel:Wheel"}, plug_wheel=MODEL)
    assert "wheel" in MODELS.names()
    assert "plug_wheel" not in sys.modules


def test_the_card_of_a_plug_in_says_where_it_comes_from(plug_in):
    plug_in("wheels", "vidbench.models", {"wheel": "plug_wheel:Wheel"}, plug_wheel=MODEL)
    assert find_card("wheel") == {
        "kind": "model",
        "name": "wheel",
        "what": "Turns.",
        "title": "A wheel",
        "version": 3,
        "origin": "wheels, plug_wheel:Wheel",
    }


def test_a_plug_in_may_bring_a_data_set(plug_in):
    plug_in("roads", "vidbench.datasets", {"road": "plug_road:card"}, plug_road=DATA_SET)
    assert load_dataset("road").title == "Road"
    assert all_cards()["data sets"]["road"] == "A road"


@pytest.mark.parametrize("code", ["import not_there", "raise RuntimeError('first line\\nsecond line')", "x = 1"])
def test_a_broken_plug_in_is_one_line_among_the_cards(plug_in, code):
    plug_in("wheels", "vidbench.models", {"wheel": "plug_broken:Wheel"}, plug_broken=code)
    cards = all_cards()["models"]
    assert cards["wheel"].startswith('The model "wheel" (wheels, plug_broken:Wheel) cannot be imported: ')
    assert "\n" not in cards["wheel"]
    assert cards["loop"].startswith("A real clip of 16 frames")


def test_a_broken_data_set_plug_in_is_one_line_among_the_cards(plug_in):
    plug_in("roads", "vidbench.datasets", {"road": "plug_road:card"}, plug_road="import not_there")
    cards = all_cards()["data sets"]
    assert "cannot be imported" in cards["road"]
    assert cards["toy-sky"].startswith("Steady camera")


def test_a_broken_plug_in_is_an_error_when_it_is_asked_for(plug_in):
    plug_in("wheels", "vidbench.models", {"wheel": "plug_broken:Wheel"}, plug_broken="import not_there")
    assert MODELS.load("loop").needs == 16
    with pytest.raises(UserError, match=r'"wheel" \(wheels, plug_broken:Wheel\) cannot be imported: .*not_there'):
        MODELS.load("wheel")


def test_two_different_things_of_one_name_are_an_error_that_names_both(plug_in):
    plug_in("wheels", "vidbench.models", {"loop": "plug_wheel:Wheel"}, plug_wheel=MODEL)
    with pytest.raises(UserError) as caught:
        MODELS.names()
    assert 'Two models are named "loop"' in str(caught.value)
    assert "plug_wheel:Wheel" in str(caught.value)
    assert "vidbench.models.reference:Loop" in str(caught.value)


def test_the_same_thing_declared_twice_is_one(plug_in):
    plug_in("copy", "vidbench.models", {"loop": "vidbench.models.reference:Loop"})
    assert MODELS.names().count("loop") == 1


def test_a_plug_in_of_one_kind_is_not_one_of_another(plug_in):
    plug_in("wheels", "vidbench.backbones", {"wheel": "plug_wheel:Wheel"}, plug_wheel=MODEL)
    assert "wheel" in BACKBONES.names()
    assert "wheel" not in MODELS.names()
