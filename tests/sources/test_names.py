"""Natural order: digits count as numbers, part by part; ties by plain string."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidbench.sources.names import natural_key, order_notes, origin, walk

numbers = st.integers(0, 10**30)
paths = st.lists(st.text("ab01_-. é٣", min_size=1), min_size=1).map("/".join)


@given(numbers, numbers)
def test_numbers_are_compared_as_numbers(a: int, b: int) -> None:
    assert (natural_key(f"img_{a}.png") < natural_key(f"img_{b}.png")) == (a < b)


@given(st.lists(numbers))
def test_zero_padded_names_are_ordered_as_plain_strings_are(values: list[int]) -> None:
    names = [f"{value:031d}.jpg" for value in values]
    assert sorted(names, key=natural_key) == sorted(names)
    assert order_notes([sorted(names)]) == []


@given(st.lists(paths, unique=True))
def test_the_order_of_listing_does_not_matter(names: list[str]) -> None:
    assert [natural_key(name) for name in sorted(names, key=natural_key)] == sorted(map(natural_key, reversed(names)))


@given(paths, paths)
def test_only_equal_paths_tie(a: str, b: str) -> None:
    assert (natural_key(a) == natural_key(b)) == (a == b)


def test_names_of_one_number_are_ordered_by_plain_string() -> None:
    assert sorted(["1", "01", "001"], key=natural_key) == ["001", "01", "1"]


def test_a_folder_stays_together_though_another_name_sorts_between_its_files() -> None:
    assert sorted(["a/1", "a-b/1", "a/2"], key=natural_key) == ["a/1", "a/2", "a-b/1"]


@pytest.mark.parametrize(
    "names",
    [
        ["0.png", "2.png", "17.png", "00100.png"],  # MoCoGAN-HD: the integer before the first dot
        ["x_frames_00000009.jpg", "x_frames_00000010.jpg"],  # TATS: the integer after the last underscore
        ["frame00001.png", "frame00002.png", "frame00010.png"],  # DIGAN
    ],
)
def test_frames_of_other_tools_keep_their_order(names: list[str]) -> None:
    assert sorted(set(names), key=natural_key) == names


def test_one_note_tells_where_plain_string_order_would_differ() -> None:
    assert order_notes([["1.jpg", "2.jpg", "10.jpg"], ["9", "10"]]) == [
        "Digits count as numbers (2.jpg comes before 10.jpg); plain string order would differ."
    ]


def test_what_systems_and_tools_leave_behind_is_skipped(tmp_path: Path) -> None:
    for name in ("a/1.png", ".hidden/1.png", "__MACOSX/1.png", "x_broken_clips/1", "a/.DS_Store", "a/Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [(folder, files) for folder, files in walk(tmp_path) if files] == [("a", ["1.png"])]


def test_links_are_followed_but_not_round_in_circles(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "1.png").touch()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "up").symlink_to(tmp_path / "data")
    assert [(folder, files) for folder, files in walk(tmp_path / "root") if files] == [("link", ["1.png"])]


@pytest.mark.parametrize(
    ("key", "source"),
    [
        ("v_ApplyEyeMakeup_g08_c01", "v_ApplyEyeMakeup_g08"),  # UCF-101
        ("train/HandstandPushups/v_HandStandPushups_g25_c07", "v_HandStandPushups_g25"),
        ("sky_train/07YRpHPP_aE/07YRpHPP_aE_1", "07YRpHPP_aE"),  # SkyTimelapse
        ("07YRpHPP_aE/07YRpHPP_aE_12", "07YRpHPP_aE"),
        ("dQw4w9WgXcQ/1_05-2_33", "dQw4w9WgXcQ"),  # LongVideoGAN's horses and bikes
    ],
)
def test_clips_of_the_public_sets_say_what_they_were_cut_from(key: str, source: str) -> None:
    assert origin(key) == source


@pytest.mark.parametrize("key", ["000012", "sample_seed_3", "video_00001_3", "a/b", "abcdefghijk/000001", "v_x_g1"])
def test_other_videos_come_from_nowhere_else(key: str) -> None:
    assert origin(key) == key
