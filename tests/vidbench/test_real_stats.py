"""The real side's statistics as a file: a colleague scores against it without having the videos."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.numpy import save_file

from vidbench import Evaluator
from vidbench.cli import cli
from vidbench.errors import UserError
from vidbench.protocol import load_protocol
from vidbench.sources import open_source, source_from_array
from vidbench.writing import write_frames

CLIPS = 24
METRICS = {
    "frechet": load_protocol(f"fvd16@{CLIPS}"),
    "biased": load_protocol(f"styleganv/fvd16@{CLIPS}"),
    "kernel": load_protocol(f"tats/kvd@{CLIPS}"),
    "drift": load_protocol(f"color-drift@{CLIPS}").resolved(frames=17),
}


@pytest.fixture(scope="module")
def real(moving):
    videos = moving(30, 20, seed=1)
    videos[:, 5:, :4] = 0  # so that colours drift
    return source_from_array("real", videos)


@pytest.fixture(scope="module")
def fake(moving):
    return source_from_array("made", moving(CLIPS, 17, seed=2))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "real.safetensors"


def judge(real, path=None, metric="frechet", **options):
    metric = METRICS.get(metric, metric)
    backbone = None if metric.measure == "color-similarity" else "toy3d"
    return Evaluator(metric, real, **{"backbone": backbone, "workers": 0, "real_stats": path, **options})


def numbers(record):
    """Everything in a record that is computed."""
    return record.model_dump(exclude={"seconds", "created"})


@pytest.mark.parametrize("metric", METRICS)
def test_a_score_without_the_real_videos_is_the_score_with_them(
    real, fake, path, own_cache, monkeypatch, tmp_path, metric
):
    plain = judge(real, metric=metric).score(fake)
    written = judge(real, path, metric).score(fake)
    monkeypatch.setenv("VIDBENCH_CACHE", str(tmp_path / "other"))  # nor does she have the cache
    taken = judge(None, path, metric).score(fake)
    assert plain.se > 0
    assert numbers(written) == numbers(plain)
    assert numbers(taken) == {**numbers(plain), "warnings": taken.warnings}
    assert set(taken.warnings) <= set(plain.warnings)


def test_another_model_is_scored_against_it_just_as_well(real, fake, path, moving):
    judge(real, path).score(fake)
    other = source_from_array("other", moving(CLIPS, 20, seed=5))
    assert judge(None, path).score(other).value == judge(real).score(other).value


def test_the_file_is_taken_where_the_videos_are_at_hand_too(fake, path, moving):
    videos = moving(30, 20, seed=1)
    first = judge(source_from_array("real", videos), path).score(fake)
    content = path.read_bytes()

    class Untouchable:
        def __getattr__(self, name):
            raise AssertionError("read again")

    again = source_from_array("real", videos)
    for video in again.videos:
        object.__setattr__(video.medium, "read", Untouchable())
    assert judge(again, path).score(fake).value == first.value
    assert path.read_bytes() == content


def test_the_file_holds_no_pictures_and_no_path(real, fake, path):
    judge(real, path).score(fake)
    with safe_open(path, "np") as file:
        assert {name.partition("/")[2] for name in list(file.keys())} == {
            "count",
            "weight",
            "mean",
            "scatter",
            "unit_weights",
        }
        text = json.dumps(file.metadata())
    assert str(path.parent) not in text
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_contact_sheet_of_statistics_is_empty(real, fake, path):
    judge(real, path).score(fake)
    assert judge(None, path).score_with_passes(fake)[2].first == []


def test_statistics_of_a_split_are_of_that_split(moving, fake, path, tmp_path):
    for seed, split in enumerate(("train", "test")):
        videos = [(f"{i}", np.moveaxis(video, -1, 0)) for i, video in enumerate(moving(4, 18, seed=seed))]
        write_frames(tmp_path / "set" / split, videos, 25)
    first = judge(open_source(tmp_path / "set", split="test"), path).score(fake)
    taken = judge(None, path).score(fake)
    assert taken.protocol.split == first.protocol.split == "test"
    assert taken.protocol_hash == first.protocol_hash


def test_the_warnings_of_the_real_side_come_with_it(moving, fake, path):
    still = np.repeat(moving(30, 1, seed=1), 20, axis=1)
    first = judge(source_from_array("real", still), path).score(fake)
    assert any(line.startswith("real: 24 of 24 clips do not move") for line in first.warnings)
    assert set(first.warnings) == set(judge(None, path).score(fake).warnings)


# What does not belong together


@pytest.mark.parametrize(
    ("changes", "differences"),
    [
        ({"seed": 1}, ["seed differs (0, 1)"]),
        ({"frames": 15}, ["frames differs (16, 15)"]),
        ({"clips": 20}, [f"name differs (fvd16@{CLIPS}, fvd16@20)", f"clips differs ({CLIPS}, 20)"]),
        ({"covariance": "n", "order": "sorted"}, ["order differs (shuffled, sorted)", "covariance differs (n-1, n)"]),
        ({"version": 2}, ["version differs (1, 2)"]),
        ({"size": (8, 8)}, ["size differs ([16, 16], [8, 8])"]),
    ],
)
def test_another_protocol_is_refused_with_exactly_what_differs(real, fake, path, changes, differences):
    judge(real, path).score(fake)
    size = changes.pop("size", None)
    asked = METRICS["frechet"].resolved(**changes)
    with pytest.raises(UserError) as caught:
        judge(None, path, asked, size=size).score(fake)
    message = str(caught.value)
    assert message.startswith(f"{path} and the score asked for do not belong together: ")
    assert message.partition("together: ")[2] == "; ".join(differences) + "."


def test_the_same_protocol_in_other_words_is_no_difference(real, fake, path):
    first = judge(real, path).score(fake)
    asked = METRICS["frechet"].model_copy(update={"about": "another line", "source": "another paper"})
    assert judge(None, path, asked).score(fake).value == first.value


def test_the_size_is_that_of_the_statistics_unless_another_is_asked_for(real, fake, path, moving):
    judge(real, path).score(fake)
    small = source_from_array("small", moving(CLIPS, 17, size=12, seed=3))
    assert judge(None, path).score(small).protocol.size == (16, 16)


def test_another_backbone_is_refused_with_both(real, fake, path, plug_in):
    code = """
from vidbench.metrics.toy3d import Toy3D

class Other(Toy3D):
    name = "toy9d"
    version = 9
"""
    plug_in("other", "vidbench.backbones", {"toy9d": "plug_other:Other"}, plug_other=code)
    judge(real, path).score(fake)
    with pytest.raises(UserError, match=r"do not belong together: backbone differs \(.*'toy3d'.*, .*'toy9d'.*\)\."):
        judge(None, path, backbone="toy9d").score(fake)


def test_another_numeric_mode_is_refused_with_both(real, fake, path):
    judge(real, path).score(fake)
    evaluator = judge(None, path)
    object.__setattr__(evaluator.backbone, "numeric_mode", "bfloat16")
    with pytest.raises(UserError, match=r"together: numeric mode differs \(float32, bfloat16\)\."):
        evaluator.score(fake)


def test_statistics_of_another_measure_are_refused(real, fake, path):
    judge(real, path, "drift").score(fake)
    with pytest.raises(UserError, match=r"real\.safetensors"):
        judge(None, path, "frechet").score(fake)


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_a_file_that_was_cut_short_is_refused(real, fake, path, kept):
    judge(real, path).score(fake)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(UserError, match=r"real\.safetensors does not hold real statistics of vidbench, or is damaged"):
        judge(None, path)


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"protocol": {}, "side": {}}'])
def test_a_file_of_something_else_is_refused(path, text):
    path.parent.mkdir()
    save_file({"weight": np.zeros(3)}, path, text and {"vidbench real statistics": text})
    with pytest.raises(UserError, match="does not hold real statistics"):
        judge(None, path)


def test_statistics_that_cannot_be_written_are_one_sentence(real, fake, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match="cannot be written"):
        judge(real, tmp_path / "file" / "real.safetensors").score(fake)


def test_the_command_writes_and_takes_the_file(moving, tmp_path, monkeypatch):
    np.save(tmp_path / "real.npy", moving(30, 20, seed=1))
    np.save(tmp_path / "made.npy", moving(CLIPS, 17, seed=2))
    monkeypatch.chdir(tmp_path)
    asked = ["eval", "--fake", "made.npy", "--clips", f"{CLIPS}", "--backbone", "toy3d", "--no-references", "--json"]
    asked += ["--workers", "0", "--real-stats", "stats.safetensors"]
    values = []
    for place, real in (("here", ["--real", "real.npy"]), ("there", [])):
        monkeypatch.setenv("VIDBENCH_CACHE", str(tmp_path / place))
        result = CliRunner().invoke(cli, [*asked, "--out", place, *real])
        assert result.exit_code == 0, result.output
        [record] = json.loads(result.stdout)
        values.append((record["value"], record["se"], record["terms"], record["real"], record["key"]))
        (tmp_path / "real.npy").unlink(missing_ok=True)
    assert values[0] == values[1]
