"""Cards: what `vidbench list` shows of everything there is."""

import pytest

from vidbench.cards import all_cards, find_card
from vidbench.errors import UserError
from vidbench.protocol import load_protocol, presets


def test_there_is_one_line_for_everything():
    for cards in all_cards().values():
        for text in cards.values():
            assert len(text) > 10
            assert "\n" not in text


def test_the_kinds_are_those_of_the_registries_and_configurations():
    cards = all_cards()
    assert list(cards) == ["models", "data sets", "metrics", "backbones", "measures"]
    assert list(cards["metrics"]) == presets()
    assert {"color-drift", "fvd16", "styleganv/fvd16", "longvideogan/color-drift", "tats/kvd"} <= set(cards["metrics"])
    assert {"toy-ride", "toy-sky", "toy-talk", "sky-timelapse"} <= set(cards["data sets"])


def test_the_card_of_a_metric_is_its_protocol_and_hash():
    card = find_card("fvd16@64")
    assert (card["kind"], card["name"], card["clips"]) == ("metric", "fvd16@64", 64)
    assert card["protocol hash"] == load_protocol("fvd16@64").hash


def test_the_card_of_an_imitation_is_found_by_its_whole_name():
    card = find_card("styleganv/fvd16")
    assert (card["kind"], card["name"], card["covariance"]) == ("metric", "styleganv/fvd16", "n")


def test_the_card_of_a_data_set_says_licence_and_backbone():
    card = find_card("horseback")
    assert card["kind"] == "data set"
    assert card["licence"].startswith("CC BY-NC-SA 4.0")
    assert card["backbone"] == "i3d"


def test_the_card_of_a_backbone_says_how_many_frames_it_needs():
    card = find_card("toy3d")
    assert (card["kind"], card["dim"], card["min_frames"]) == ("backbone", 87, 9)


def test_an_unknown_name_is_answered_with_the_nearest_of_any_kind():
    with pytest.raises(UserError, match="Did you mean toy-ride"):
        find_card("toy-rid")


def test_the_card_of_a_system_names_the_checkpoints_at_hand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vidbench.cards.shelf", lambda: tmp_path / "shipped")
    assert find_card("stylegan-v")["checkpoints"] == []
    path = tmp_path / "runs/stylegan-v/toy-ride-ci/gan/best.safetensors"
    path.parent.mkdir(parents=True)
    path.touch()
    assert find_card("stylegan-v")["checkpoints"] == ["runs/stylegan-v/toy-ride-ci"]
    assert "checkpoints" not in find_card("freeze")


def test_what_cannot_be_sampled_is_no_checkpoint_at_hand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vidbench.cards.shelf", lambda: tmp_path / "shipped")
    for file in ("stylegan-v/a-ci/gan/best.txt", "long-video-gan/a-ci/lowres/best.safetensors"):
        path = tmp_path / "runs" / file
        path.parent.mkdir(parents=True)
        path.touch()
    assert find_card("stylegan-v")["checkpoints"] == find_card("long-video-gan")["checkpoints"] == []
