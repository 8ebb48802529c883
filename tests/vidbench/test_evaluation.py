"""A whole evaluation: which generators, against which real videos, and what is not computed twice."""

import numpy as np
import pytest
import torch

from vidbench import evaluation
from vidbench.contenders import Request, build_model, half, hold_out, is_reference, load_model, split_options
from vidbench.errors import UserError
from vidbench.evaluation import evaluate, stored_records
from vidbench.evaluator import Evaluator
from vidbench.record import load_record
from vidbench.sources import Source, open_source, source_from_array
from vidbench.writing import write_frames

REFERENCES = ["freeze", "loop", "noise", "real", "shuffle"]
WHEEL = """
import torch
from vidbench import Generator

class Wheel(Generator):
    '''Turns.'''
    size, fps = (16, 16), 25.0
    {fingerprint}

    def stream(self, seed):
        chance = torch.Generator().manual_seed(seed)
        texture = torch.rand(3, 1, 16, 16, generator=chance) * 2 - 1
        for t in range(1000):
            yield texture.roll(t, 3)

class Spoke:
    pass

class Axle(Wheel):
    def __init__(self, length):
        self.length = length
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def real(place, moving):
    """24 real videos of 20 frames, in one file."""
    np.save(place / "real.npy", moving(24, 20, seed=1))
    return "real.npy"


@pytest.fixture
def made(place, moving):
    """9 generated videos."""
    np.save(place / "made.npy", moving(9, 16, seed=2))
    return "made.npy"


@pytest.fixture
def wheel(place):
    (place / "wheels.py").write_text(WHEEL.format(fingerprint="fingerprint = 'wheel/1'"))
    return "wheels.py:Wheel"


def ask(real, **values):
    options = {"backbone": "toy3d", "clips": 8, "workers": 0, **values.pop("options", {})}
    return Request(real=real, options=options, **values)


def folders(place, name, videos):
    """Folders of frames."""
    write_frames(place / name, [(f"{i:02d}", np.moveaxis(video, -1, 0)) for i, video in enumerate(videos)], 25)
    return name


# What is scored


def test_generated_videos_come_first_and_the_reference_generators_beside_them(real, made):
    records = evaluate(ask(real, fake=[made]))
    assert [record.model for record in records] == [made, *REFERENCES]


def test_a_folder_of_frames_can_be_scored_against_another(place, moving):
    real, made = folders(place, "real", moving(24, 20, seed=1)), folders(place, "made", moving(8, 16, seed=2))
    [record] = evaluate(ask(real, fake=[made], references=False))
    assert (record.model, record.real.name, record.fake.kind) == ("made", "real", "png")


def test_every_score_has_a_record_and_a_contact_sheet(real, made, place):
    records = evaluate(ask(real, fake=[made], out=place / "out"))
    files = {path.name for path in (place / "out" / "records").iterdir()}
    assert files == {f"{record.stem()}.{ending}" for record in records for ending in ("json", "png")}
    assert all(load_record(place / "out" / "records" / f"{record.stem()}.json") == record for record in records)


def test_only_the_reference_generators_that_are_named_are_scored_where_the_others_are_left_away(real, made):
    assert [record.model for record in evaluate(ask(real, models=["freeze"], references=False))] == ["freeze"]
    request = ask(real, fake=[made], models=["loop", "noise"], references=False)
    assert [record.model for record in evaluate(request)] == [made, "loop", "noise"]


def test_the_reference_generators_stand_beside_a_named_one_too(real):
    assert sorted(record.model for record in evaluate(ask(real, models=["loop"]))) == REFERENCES


def test_the_reference_generators_can_be_left_away(real, made):
    assert [record.model for record in evaluate(ask(real, fake=[made], references=False))] == [made]


def test_every_metric_is_computed_for_every_generator(real, made):
    request = ask(real, fake=[made], metrics=["fvd16@8", "fvd16@6"], references=False, options={"clips": None})
    records = evaluate(request)
    assert [record.metric for record in records] == ["fvd16@8[toy3d]", "fvd16@6[toy3d]"]


def test_a_changed_protocol_has_a_name_and_a_hash_of_its_own(real, made):
    [plain] = evaluate(ask(real, fake=[made], references=False))
    [changed] = evaluate(ask(real, fake=[made], references=False, changes=["frames=12"]))
    assert (changed.protocol.name, changed.protocol.frames) == ("fvd16+frames=12@8", 12)
    assert changed.protocol_hash != plain.protocol_hash


def test_a_warning_is_said_once(real, made):
    said = []
    evaluate(ask(real, fake=[made]), say=said.append)
    warnings = [line for line in said if line.startswith("warning: ")]
    assert len(warnings) == len(set(warnings)) > 0


# Real videos for the reference generators


def source(moving, count):
    return source_from_array("films", moving(count, 18))


def test_a_set_without_splits_is_divided_into_two_halves(moving):
    whole = source(moving, 24)
    held_out, floor = hold_out(ask("films"), whole, None)
    keys = [{video.key for video in part.videos} for part in (held_out, floor)]
    assert keys[0] | keys[1] == {video.key for video in whole.videos}
    assert not keys[0] & keys[1]
    assert min(map(len, keys)) >= 5
    assert len({whole.fingerprint, held_out.fingerprint, floor.fingerprint}) == 3


def test_twenty_videos_are_enough_to_halve_and_nineteen_are_not(moving):
    enough, few = source(moving, 20), source(moving, 19)
    assert hold_out(ask("films"), enough, None)[1] is not enough
    assert hold_out(ask("films"), few, None) == (None, few)


def test_the_half_of_a_video_does_not_depend_on_the_others():
    halves = [half(f"{i:06d}") for i in range(1000)]
    assert set(halves) == {0, 1}
    assert 450 < sum(halves) < 550
    assert halves == [half(f"{i:06d}") for i in range(1000)]


def test_real_among_halves_is_one_half_against_the_other(real):
    said = []
    [record] = evaluate(ask(real, models=["real"], references=False), say=said.append)
    assert record.real.name == "real.npy (other half)"
    assert record.floor_of == open_source(real).fingerprint
    assert any("one half of real.npy against the other" in line for line in said)


def test_of_too_few_real_videos_real_is_left_out_and_the_reason_said(place, moving):
    np.save(place / "few.npy", moving(12, 20))
    said = []
    records = evaluate(ask("few.npy"), say=said.append)
    assert [record.model for record in records] == ["freeze", "loop", "noise", "shuffle"]
    [reason] = [line for line in said if line.startswith("real is left out: ")]
    assert "few.npy has no other split" in reason
    assert "12 videos are too few to halve" in reason


@pytest.mark.parametrize(("split", "other"), [(None, "test"), ("train", "test"), ("val", "test"), ("test", "val")])
def test_of_a_set_with_splits_a_held_out_one_is_taken(place, moving, split, other):
    for seed, name in enumerate(("train", "val", "test")):
        folders(place / "set", name, moving(3, 18, seed=seed))
    whole = open_source("set", split=split)
    held_out, floor = hold_out(ask("set"), whole, None)
    assert (held_out.split, floor) == (other, whole)


def test_of_two_splits_the_other_one_is_taken(place, moving):
    for seed, name in enumerate(("train", "test")):
        folders(place / "set", name, moving(3, 18, seed=seed))
    assert hold_out(ask("set"), open_source("set", split="test"), None)[0].split == "train"


def test_real_of_a_set_with_splits_is_scored_against_the_whole_split(place, moving):
    for seed, name in enumerate(("train", "test")):
        folders(place / "set", name, moving(5, 18, seed=seed))
    [record] = evaluate(ask("set", models=["real"], references=False))
    assert (record.real.name, record.real.split, record.real.counts.available) == ("set", "train", 5)
    assert record.floor_of is None


def test_a_reference_generator_without_videos_long_enough_is_left_out_and_the_reason_said(place, moving):
    folders(place / "set", "train", moving(5, 18))
    folders(place / "set", "test", moving(5, 12, seed=1))
    said = []
    records = evaluate(ask("set"), say=said.append)
    assert [record.model for record in records] == ["freeze", "noise"]
    for name in ("real", "shuffle", "loop"):
        assert any(line.startswith(f"{name} is left out: ") and "16 frames" in line for line in said)


@pytest.mark.parametrize("name", ["loop", "real", "shuffle"])
def test_a_reference_generator_without_videos_long_enough_is_no_failure_where_it_is_alone(place, moving, name):
    folders(place / "set", "train", moving(5, 18))
    folders(place / "set", "test", moving(5, 12, seed=1))
    said = []
    assert evaluate(ask("set", models=[name], references=False), say=said.append) == []
    assert any(line.startswith(f"{name} is left out: ") for line in said)


# What is at hand


def test_a_record_at_hand_is_not_computed_again(real, made, monkeypatch):
    first = evaluate(ask(real, fake=[made]))

    def again(*arguments):
        raise AssertionError("computed again")

    monkeypatch.setattr(Evaluator, "score_with_passes", again)
    assert evaluate(ask(real, fake=[made])) == first


def test_only_what_is_missing_is_computed(real, made, place, monkeypatch):
    first = evaluate(ask(real, fake=[made]))
    (place / "runs" / "records" / f"{first[2].stem()}.json").unlink()
    scored = []
    score = evaluation.score
    monkeypatch.setattr(evaluation, "score", lambda entry, folder: scored.append(entry.name) or score(entry, folder))
    again = evaluate(ask(real, fake=[made]))
    assert scored == [first[2].model]
    assert [record.value for record in again] == [record.value for record in first]


@pytest.mark.parametrize("options", [{"seed": 1}, {"clips": 7}, {"size": (8, 8)}])
def test_a_record_under_another_protocol_is_not_at_hand(real, made, options):
    [first] = evaluate(ask(real, fake=[made], references=False))
    [other] = evaluate(ask(real, fake=[made], references=False, options=options))
    assert other.key != first.key
    assert other.protocol_hash != first.protocol_hash


def test_other_videos_in_a_file_of_the_same_name_are_scored_anew(real, made, place, moving):
    [first] = evaluate(ask(real, fake=[made], references=False))
    np.save(place / "made.npy", moving(9, 16, seed=7))
    [other] = evaluate(ask(real, fake=[made], references=False))
    assert other.value != first.value


def test_a_folder_that_was_renamed_is_called_by_its_new_name(real, place, moving):
    made = folders(place, "made", moving(8, 16, seed=2))
    [first] = evaluate(ask(real, fake=[made], references=False))
    (place / made).rename(place / "renamed")
    [again] = evaluate(ask(real, fake=["renamed"], references=False))
    assert (again.model, again.value) == ("renamed", first.value)


def test_a_model_that_states_its_fingerprint_is_scored_once(real, wheel):
    [first] = evaluate(ask(real, models=[wheel], references=False))
    assert evaluate(ask(real, models=[wheel], references=False)) == [first]
    assert first.fake.fingerprint == "wheel/1"


def test_a_model_that_states_none_is_scored_every_time(real, place):
    (place / "wheels.py").write_text(WHEEL.format(fingerprint=""))
    first, again = (evaluate(ask(real, models=["wheels.py:Wheel"], references=False))[0] for _ in range(2))
    assert first.key != again.key
    assert first.value == again.value


def test_files_that_are_no_records_are_passed_over(real, made, place):
    [record] = evaluate(ask(real, fake=[made], references=False))
    (place / "runs" / "records" / "other.json").write_text("{")
    assert stored_records(place / "runs" / "records") == [record]


# The preflight


def test_a_dry_run_computes_and_writes_nothing(real, made, place, own_cache):
    assert evaluate(ask(real, fake=[made]), dry_run=True) == []
    assert not (place / "runs").exists()
    assert list(own_cache.rglob("*.safetensors")) == []


def test_the_preflight_says_what_is_asked_for_and_what_there_is(real, made):
    said = []
    evaluate(ask(real, fake=[made], references=False), say=said.append, dry_run=True)
    assert said[0].startswith(
        "fvd16@8[toy3d]: 8 clips of 16 frames, stride 1, 16x16, seed 0, against real.npy: 24 videos"
    )
    assert said[1].startswith("  made.npy: 9 videos, 9 long enough, 8 of 8 clips")
    assert said[-1].startswith("expected: about ")
    assert said[-1].endswith("0 of 1 scores are at hand")


def test_the_preflight_says_what_is_at_hand(real, made):
    said = []
    evaluate(ask(real, fake=[made], references=False))
    evaluate(ask(real, fake=[made], references=False), say=said.append, dry_run=True)
    assert said[0].endswith("; 100% of its features are cached")
    assert said[1].endswith("; its record is at hand")
    assert said[-1] == "expected: about 1 s, 0.0 MB of records; 1 of 1 scores are at hand"


def test_the_preflight_says_that_videos_are_visited_again(place, moving, made):
    np.save(place / "few.npy", moving(3, 20))
    said = []
    evaluate(ask("few.npy", fake=[made], references=False), say=said.append, dry_run=True)
    assert "few.npy: 3 videos, 3 long enough, 8 of 8 clips, visiting videos again" in said[0]


def test_the_preflight_says_how_much_of_its_features_is_at_hand(real, made, own_cache, place, moving):
    np.save(place / "many.npy", moving(192, 16, seed=2))
    request = ask(real, fake=["many.npy"], references=False, options={"clips": 192})
    [record] = evaluate(request)
    sides = sorted(own_cache.glob("features/*/"))
    assert [len(list(side.glob("*.safetensors"))) for side in sides] == [3, 3]
    for side in sides:
        sorted(side.glob("*.safetensors"))[1].unlink()
    (place / "runs" / "records" / f"{record.stem()}.json").unlink()
    said = []
    evaluate(request, say=said.append, dry_run=True)
    assert said[0].endswith("; 67% of its features are cached")
    assert said[1].endswith("; 67% of its features are cached")
    [again] = evaluate(request)
    assert (again.value, again.se) == (record.value, record.se)


@pytest.mark.parametrize(("length", "enough"), [(127, 0), (128, 24)])
def test_the_preflight_counts_the_videos_that_the_protocol_counts(place, moving, length, enough):
    np.save(place / "real.npy", moving(24, length, size=8))
    np.save(place / "made.npy", moving(8, 128, size=8))
    said = []
    request = ask("real.npy", fake=["made.npy"], metrics=["styleganv/fvd128-s8"], references=False)
    evaluate(request, say=said.append, dry_run=True)
    assert f"real.npy: 24 videos, {enough} long enough" in said[0]  # of 16 x 8 frames, though a span has 121


def test_the_preflight_says_that_few_videos_are_visited_once(place, moving, made):
    np.save(place / "few.npy", moving(3, 20))
    said = []
    request = ask("few.npy", fake=[made], metrics=["styleganv/fvd16"], references=False)
    evaluate(request, say=said.append, dry_run=True)
    assert "few.npy: 3 videos, 3 long enough, 3 of 8 clips" in said[0]
    assert "visiting videos again" not in said[0]


def test_the_preflight_times_every_generator_by_itself(real, made, monkeypatch):
    seconds = {"real.npy": 120, "made.npy": 30, "Noise": 60, "Shuffle": 90}

    def clip_seconds(evaluator, protocol, side):
        return seconds[side.name if isinstance(side, Source) else type(side).__name__]

    monkeypatch.setattr("vidbench.preflight.clip_seconds", clip_seconds)
    said = []
    request = ask(real, fake=[made], models=["noise", "shuffle"], references=False)
    evaluate(request, say=said.append, dry_run=True)
    assert said[-1].startswith("expected: about 40 min")  # 8 clips of 300 s together


def test_what_stands_on_real_videos_is_timed_as_what_it_makes(real, monkeypatch):
    def stream(self, seed):
        asked.append(seed)
        yield torch.zeros(3, 20, 16, 16)

    asked = []
    monkeypatch.setattr("vidbench.models.reference.Shuffle.stream", stream)
    evaluate(ask(real, models=["shuffle"], references=False), dry_run=True)
    assert asked


# The real side's statistics in a file


def test_statistics_in_a_file_stand_for_the_real_videos(real, made, place):
    options = {"real_stats": place / "stats.safetensors"}
    [first] = evaluate(ask(real, fake=[made], references=False, options=options))
    (place / real).unlink()
    said = []
    [again] = evaluate(ask(None, fake=[made], out=place / "other", options=options), say=said.append)
    assert (again.value, again.se, again.real, again.key) == (first.value, first.se, first.real, first.key)
    assert "against the statistics of real.npy in" in said[0] + said[1]
    assert any(line.startswith("The reference generators are left out") for line in said)


# Models in files


def test_a_model_of_a_file_is_scored_under_its_class_s_name(real, wheel):
    [record] = evaluate(ask(real, models=[wheel], references=False))
    assert (record.model, record.fake.kind, record.fake.fps) == ("Wheel", "generator", 25.0)


def test_options_stand_behind_a_model_s_name_and_each_choice_is_a_row_of_its_own(real, wheel):
    assert split_options("video-ldm[decoder=false, prompt=a:b]") == ("video-ldm", {"decoder": False, "prompt": "a:b"})
    assert split_options(wheel) == (wheel, {})
    models = [f"{wheel.replace('Wheel', 'Axle')}[length={length}]" for length in (16, 20)]
    records = evaluate(ask(real, models=models, references=False))
    assert [record.model for record in records] == ["Axle[length=16]", "Axle[length=20]"]
    with pytest.raises(UserError, match=r'options end with "\]", as in loop\[key=value,key=value\]'):
        split_options("loop[a=1")
    with pytest.raises(UserError, match=r'--model loop\[...\] takes key=value; "a" is none'):
        split_options("loop[a]")


def test_a_registered_model_is_found_by_name():
    assert load_model("loop").needs == 16
    assert is_reference("loop")


def test_a_model_of_a_file_is_no_reference(wheel):
    assert not is_reference(wheel)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.py:Wheel", "there is no file none.py"),
        ("wheels.py:Whel", r"wheels.py has no Whel. It has .*Wheel"),
        ("wheels.py:Spoke", "wheels.py:Spoke is no generator: it has no sample, size, fps, max_frames"),
        ("wheels.py:Axle", "wheels.py:Axle cannot be made without arguments .*length"),
        ("torn.py:Wheel", r"torn.py cannot be imported \(RuntimeError: torn\)"),
        ("wheels", 'No model named "wheels"'),
        ("real.npy:Wheel", 'No model named "real.npy:Wheel"'),
    ],
)
def test_a_model_that_cannot_be_had_is_an_error_that_says_why(place, wheel, name, message):
    (place / "torn.py").write_text("raise RuntimeError('torn')")
    with pytest.raises(UserError, match=message):
        build_model(name)


def test_two_files_may_hold_models_of_one_name(place, wheel):
    (place / "other").mkdir()
    (place / "other" / "wheels.py").write_text(WHEEL.format(fingerprint="").replace("25.0", "12.0"))
    assert build_model("other/wheels.py:Wheel").fps == 12.0
    assert build_model(wheel).fps == 25.0


def test_a_model_beside_the_generated_videos_is_scored_at_their_size(real, wheel, place, moving):
    np.save(place / "small.npy", moving(8, 16, size=12))
    records = evaluate(ask(real, fake=["small.npy"], references=False))
    assert records[0].protocol.size == (12, 12)


# What goes wrong


def test_too_few_generated_videos_are_found_before_anything_is_computed(real, place, moving, own_cache):
    np.save(place / "few.npy", moving(7, 16))
    with pytest.raises(UserError, match="--clips 7"):
        evaluate(ask(real, fake=["few.npy"]))
    assert not (place / "runs").exists()
    assert list(own_cache.rglob("*.safetensors")) == []


def test_a_broken_plug_in_does_not_stop_the_evaluation_of_anything_else(real, made, plug_in):
    plug_in("wheels", "vidbench.models", {"broken": "plug_broken:Wheel"}, plug_broken="import not_there")
    assert [record.model for record in evaluate(ask(real, fake=[made]))] == [made, *REFERENCES]


def damage(place, folder, *videos):
    """Make the eleventh frame of some videos unreadable, which no look at the first frame finds."""
    for video in videos:
        (place / folder / video / "000010.png").write_bytes(b"damaged")


def test_a_damaged_generated_video_is_skipped_if_that_is_asked_for(real, place, moving):
    made = folders(place, "made", moving(9, 16, seed=2))
    damage(place, "made", "00")
    request = ask(real, fake=[made], references=False)
    with pytest.raises(UserError, match=r"00.* cannot be read.*--skip-bad"):
        evaluate(request)
    [record] = evaluate(ask(real, fake=[made], references=False, options={"skip_bad": True}))
    assert (record.fake.counts.used, record.fake.counts.unreadable) == (8, 1)


def test_damaged_real_videos_are_skipped_beside_the_reference_generators_too(place, moving, monkeypatch):
    monkeypatch.setattr("vidbench.preflight.clip_seconds", lambda *arguments: 0.0)
    real = folders(place, "real", moving(24, 20, seed=1))
    damage(place, "real", *(f"{i:02d}" for i in range(0, 24, 3)))
    records = evaluate(ask(real, models=["freeze", "shuffle"], references=False, options={"skip_bad": True}))
    assert [record.model for record in records] == ["freeze", "shuffle"]
    assert all(1 <= record.real.counts.unreadable <= 8 for record in records)  # of the videos that were drawn
