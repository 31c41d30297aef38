"""The system of fifty members: printed by a script, the same text every time."""

from experiments.large_50 import MEMBERS, grown, large_50, text
from mmg_env.config_file import config_directory


def test_the_file_is_what_the_script_prints():
    file = config_directory() / "systems" / "large_50.yaml"
    assert file.read_text(encoding="utf-8") == text()


def test_members_are_of_the_four_kinds_and_each_of_its_own_size():
    members = large_50()["members"]
    assert len(members) == MEMBERS
    assert len({member["name"] for member in members}) == MEMBERS
    assert {member["name"].rsplit("_", 1)[0] for member in members} == {
        "village",
        "suburb",
        "works",
        "estate",
    }
    peaks = [member["load"]["peak_kw"] for member in members if member["name"].startswith("works")]
    assert len(set(peaks)) == len(peaks)


def test_powers_and_energies_grow_and_nothing_else():
    part = {"link_kw": 10, "wear": {"segments": 8}, "capacity_kwh": 3, "rental_per_kw": 0.02}
    assert grown(part, 2.0) == {
        "link_kw": 20.0,
        "wear": {"segments": 8},
        "capacity_kwh": 6.0,
        "rental_per_kw": 0.02,
    }
