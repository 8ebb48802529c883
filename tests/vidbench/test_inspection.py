"""A look at a source: what is in it, and what looks wrong."""

import numpy as np
import pytest

from vidbench.evaluator import quiet
from vidbench.inspection import Glances, inspect_source
from vidbench.sources import Source, open_source, source_from_array
from vidbench.suspicion import look_at
from vidbench.writing import write_frames


def inspect(source):
    return inspect_source(source, 0, quiet)


def test_the_facts_of_a_source(moving):
    films = source_from_array("films", moving(3, 20, 16), fps=12.5)
    facts = inspect(films)
    assert (facts["name"], facts["videos"], facts["frames"], facts["unreadable"]) == ("films", 3, 60, {})
    assert facts["fingerprint"] == films.fingerprint
    assert facts["frames a video"] == {"min": 20, "median": 20.0, "max": 20}
    assert facts["size (height x width)"] == {"16x16": 3}
    assert facts["frames a second"] == {"12.5": 3}
    assert facts["storage"] == {"array": 3}
    assert facts["warnings"] == []


def test_how_many_videos_are_long_enough_for_each_preset(moving):
    videos = [source_from_array(f"{length}", moving(1, length, 4)).videos[0] for length in (15, 16, 120, 121, 128, 129)]
    facts = inspect(Source("films", videos, "0"))
    needed = {"fvd16": 5, "fvd128": 2, "fvd128-s8": 3, "color-drift": 1}
    needed |= {f"longvideogan/{name}": count for name, count in needed.items()}
    needed |= {"kvd16": 5, "prdc16": 5, "flicker": 5, "smoothness": 5, "repetition": 2, "drift": 0, "fvd16-s16": 0}
    needed |= {"styleganv/fvd16": 5, "styleganv/fvd128": 2, "styleganv/fvd128-s8": 2}  # which asks for 128 frames
    needed |= dict.fromkeys(("videogpt/fvd", "tats/fvd", "tats/kvd", "cdfvd/fvd"), 5)
    assert facts["long enough for"] == needed


def test_a_mixture_of_sizes_is_counted_and_warned_of(moving):
    videos = [*source_from_array("a", moving(2, 16, 16)).videos, *source_from_array("b", moving(1, 16, 12)).videos]
    facts = inspect(Source("films", videos, "0"))
    assert facts["size (height x width)"] == {"16x16": 2, "12x12": 1}
    assert facts["warnings"] == ["films mixes 2 values of size (height x width)."]


def test_still_and_repeated_videos_are_warned_of(moving):
    films = moving(4, 16)
    films[1] = films[1, :1]
    films[3] = films[0]
    assert inspect(source_from_array("films", films))["warnings"] == [
        "films: 1 of 4 videos do not move at all.",
        "films: 1 of 4 videos are exact repeats of another.",
    ]


def test_damaged_videos_are_named_with_the_reason_and_count_for_nothing(moving, tmp_path):
    write_frames(tmp_path / "films", [(f"{i}", np.moveaxis(video, -1, 0)) for i, video in enumerate(moving(3, 20))], 25)
    (tmp_path / "films" / "1" / "000019.png").write_bytes(b"damaged")
    (tmp_path / "films" / "2" / "000000.png").write_bytes(b"damaged")
    facts = inspect(open_source(tmp_path / "films"))
    assert sorted(facts["unreadable"]) == ["1", "2"]
    assert facts["frames"] == 20
    assert facts["long enough for"]["fvd16"] == 1


def test_a_source_of_which_nothing_can_be_read_is_no_failure(moving, tmp_path):
    write_frames(tmp_path / "films", [("0", np.moveaxis(moving(1, 3)[0], -1, 0))], 25)
    (tmp_path / "films" / "0" / "000000.png").write_bytes(b"damaged")
    facts = inspect(open_source(tmp_path / "films"))
    assert (facts["videos"], facts["frames"], len(facts["unreadable"])) == (1, 0, 1)


@pytest.mark.parametrize("length", [1, 2, 3, 20])
def test_first_middle_and_last_frame_are_looked_at(moving, length):
    films = moving(1, length)
    looked = Glances(source_from_array("films", films))[0]
    assert looked == look_at(np.moveaxis(films[0, [0, (length - 1) // 2, length - 1]], -1, 0))


def test_black_videos_are_warned_of(moving):
    films = moving(3, 16) // 17
    films[0] *= 17
    assert inspect(source_from_array("films", films))["warnings"] == ["films: 2 of 3 videos are black."]


def test_worker_processes_see_the_same(moving):
    films = moving(6, 16)
    films[4] = films[1]
    source = source_from_array("films", films)
    assert inspect_source(source, 2, quiet) == inspect_source(source, 0, quiet)
