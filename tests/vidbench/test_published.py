"""Numbers from papers stand under protocols of their own."""

from vidbench.published import published
from vidbench.record import difference_of


def test_a_printed_number_keeps_its_value_and_source():
    found = [n for n in published("SkyTimelapse") if n.model == "StyleGAN-V" and n.value == 79.52]
    assert found and all(n.metric == "FVD" and n.frames == "16" and n.source for n in found)


def test_printed_numbers_are_comparable_within_their_own_table_only():
    tables = {n.protocol for n in published()}
    assert len(tables) > 5 and all(name.startswith("published:") for name in tables)
    first, *others = sorted(tables)
    assert difference_of({"protocol": first}, {"protocol": first}) == []
    assert all(difference_of({"protocol": first}, {"protocol": other}) for other in others)
