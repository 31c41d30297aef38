"""The codec between normalised vectors and physical wishes."""

from functools import cache

import numpy as np
import pytest
import random_systems
from strategies import make_case, make_system

from mmg_env.actions import Action, ActionCodec
from mmg_env.errors import InputError
from mmg_env.kernel import N_ACTION, N_STATE
from mmg_env.layout import A, F, S
from mmg_env.system import load_system
from mmg_env.trajectory import simulate

EPS = np.finfo(float).eps


def override(name, paths):
    return ActionCodec(load_system(name, overrides=paths))


@cache
def codec_of(name):
    return override(name, {})


def codecs():
    yield from (codec_of("s1_3mg"), codec_of("community_real"))
    yield from (ActionCodec(make_system(seed)) for seed in range(30))
    yield from (ActionCodec(random_systems.random_system(seed)) for seed in range(15))


def bounds(codec):
    low = np.array([entry.low for entry in codec.entries])
    return low, np.array([entry.high for entry in codec.entries])


# --- both ways ------------------------------------------------------------------------------------


def test_zero_is_exactly_zero_both_ways():
    for codec in codecs():
        nothing = np.zeros(codec.system.request_size)
        vector = codec.encode(nothing)
        low, high = bounds(codec)
        expected = np.where(low == 0.0, -1.0, np.where(high == 0.0, 1.0, 0.0))
        assert np.array_equal(vector, expected)
        assert np.array_equal(codec.decode(vector), nothing)
        assert np.array_equal(codec.encode(Action.idle(codec.system)), vector)


def test_the_ends_of_the_vector_are_the_ends_of_the_range():
    for codec in codecs():
        low, high = bounds(codec)
        assert (low < high).all()
        for end, value in ((-1.0, low), (1.0, high)):
            request = codec.decode(np.full(len(low), end))
            assert np.array_equal(request[codec.slots], value)


def test_a_request_survives_encoding_and_decoding_to_the_last_digits():
    rng = np.random.default_rng(0)
    for codec in codecs():
        low, high = bounds(codec)
        request = np.zeros(codec.system.request_size)
        request[codec.slots] = rng.uniform(low, high)
        size = np.zeros(codec.system.request_size)
        size[codec.slots] = high - low
        again = codec.decode(codec.encode(request))
        assert (np.abs(again - request) <= 2.0 * EPS * size).all()
        vector = rng.uniform(-1.0, 1.0, len(low))
        assert codec.encode(codec.decode(vector)) == pytest.approx(vector, abs=4.0 * EPS)
        assert np.array_equal(codec.action(vector).to_request(), codec.decode(vector))


def test_the_map_is_affine_and_goes_on_beyond_the_ends():
    codec = codec_of("community_real")
    low, high = bounds(codec)
    request = codec.decode(np.full(len(low), 2.0))[codec.slots]
    assert request == pytest.approx(high + 0.5 * (high - low))
    assert codec.encode(codec.decode(np.full(len(low), -3.0))) == pytest.approx(-3.0)


def test_entries_of_either_sign_are_symmetric_and_all_others_start_from_zero():
    for codec in codecs():
        low, high = bounds(codec)
        assert ((low == -high) | (low == 0.0) | (high == 0.0)).all()


def test_an_action_is_a_sheet_of_wishes_by_name():
    codec = override("s1_3mg", {"day_ahead.grid": True})
    system = codec.system
    action = Action.idle(system)
    action[A.battery_kw][:] = [10.0, -20.0, 30.0, -40.0]
    action.pool_plan_kw[1, 5] = 77.0
    action.nomination_offset_kw[23] = -500.0
    request = action.to_request()
    assert request[A.battery_kw :: N_ACTION][:4].tolist() == [10.0, -20.0, 30.0, -40.0]
    count, day = len(system.participants), system.steps_per_day
    assert request[count * N_ACTION + day + 5] == 77.0
    assert request[-1] == -500.0
    again = Action.from_request(system, request)
    assert np.array_equal(again.wishes, action.wishes)
    assert np.array_equal(again.pool_plan_kw, action.pool_plan_kw)
    assert np.array_equal(again.nomination_offset_kw, action.nomination_offset_kw)
    decoded = codec.action(codec.encode(action))
    assert decoded.pool_plan_kw[1, 5] == pytest.approx(77.0)
    assert decoded[A.battery_kw] == pytest.approx(action[A.battery_kw])


def test_wrong_shapes_and_numbers_are_refused():
    codec = codec_of("s1_3mg")
    with pytest.raises(InputError, match=r"action: shape \(3,\) of the physical request; it must"):
        codec.encode(np.zeros(3))
    with pytest.raises(InputError, match=r"action: shape \(2, 2\); it must be \(\d+,\), one numb"):
        codec.decode(np.zeros((2, 2)))
    vector = np.zeros(len(codec.entries))
    vector[2] = np.inf
    with pytest.raises(InputError, match=r"action: entry 2 \(.*\) is inf; every entry must be a f"):
        codec.decode(vector)


# --- which entries there are ----------------------------------------------------------------------


def quantities(codec):
    """Return {participant: set of quantities}, hours of a day left out."""
    found = {}
    for name in codec.names:
        owner, _, quantity = name.partition(".")
        found.setdefault(owner, set()).add(quantity.partition("[")[0])
    return found


def test_names_units_and_slots_are_one_per_entry():
    units = {"_kw": "kW", "_kwh": "kWh", "_kw_h": "kW"}
    for codec in codecs():
        size = len(codec.entries)
        assert len(set(codec.names)) == size == len(codec.units)
        assert len(set(codec.slots.tolist())) == size
        assert (np.diff(codec.day_ahead.astype(int)) >= 0).all(), "commitments come last"
        for name, unit in zip(codec.names, codec.units, strict=True):
            stem = name.partition("[")[0]
            if stem.endswith("quote_per_kwh"):
                assert unit == f"{codec.system.config.currency}/kWh"
            else:
                assert unit == units["_kwh" if stem.endswith("_kwh") else "_kw"]


def test_the_shipped_systems_have_the_entries_of_their_devices():
    member = {"battery_kw", "chp_kw", "flex_kw", "pool_plan_kw"}
    assert quantities(codec_of("s1_3mg")) == {
        "MG1": member,
        "MG2": member,
        "MG3": member,
        "ces": {"battery_kw", "pool_plan_kw"},
    }
    renter = {"virtual_kw", "pool_kw", "rental_kwh", "rental_kw"}
    house = renter | {"battery_kw", "flex_kw"}
    assert quantities(codec_of("community_real")) == {
        "village": house,
        "suburb": house,
        "works": renter | {"chp_kw", "flex_kw"},
        "estate": house,
        "ces": {"battery_kw", "pool_kw", "regulation_kw", "spinning_kw"},
        "community": {"nomination_offset_kw"},
    }
    assert len(codec_of("s1_3mg").entries) == 3 * 3 + 1 + 4 * 24
    assert len(codec_of("community_real").entries) == 3 * 6 + 6 + 4 + 24


@pytest.mark.parametrize(
    ("paths", "lost", "gained"),
    [
        ({"ces.rental": False}, {"virtual_kw", "rental_kwh", "rental_kw"}, set()),
        ({"ces.markets": False}, {"regulation_kw", "spinning_kw"}, set()),
        (
            {"pool.enabled": False},
            {"pool_kw", "virtual_kw", "rental_kwh", "rental_kw"},
            set(),
        ),
        (
            {"ces": None},
            {"virtual_kw", "rental_kwh", "rental_kw", "regulation_kw", "spinning_kw"},
            set(),
        ),
        ({"day_ahead.grid": False}, {"nomination_offset_kw"}, set()),
        ({"day_ahead.pool": True}, {"pool_kw"}, {"pool_plan_kw"}),
        ({"pool.price_rule": "auction"}, set(), {"quote_per_kwh"}),
        ({"members[*].flex": None}, {"flex_kw"}, set()),
        ({"members[works].chp": None}, {"chp_kw"}, set()),
    ],
)
def test_a_switch_takes_its_entries_with_it(paths, lost, gained):
    before = set().union(*quantities(codec_of("community_real")).values())
    after = set().union(*quantities(override("community_real", paths)).values())
    assert after == (before - lost) | gained


def test_a_storage_that_only_takes_or_only_gives_has_a_one_sided_nomination():
    for paths, low, high in (({"ces.pool_in": False}, -600, 0), ({"ces.pool_out": False}, 0, 600)):
        codec = override("community_real", paths)
        entry = codec.entries[codec.names.index("ces.pool_kw")]
        assert (entry.low, entry.high) == (low, high)
    codec = override("community_real", {"ces.pool_in": False, "ces.pool_out": False})
    assert "ces.pool_kw" not in codec.names


def test_commitments_are_day_ahead_and_the_rest_is_hourly():
    paths = {"day_ahead.pool": True, "pool.price_rule": "auction"}
    codec = override("community_real", paths)
    ahead = {name.partition(".")[2].partition("[")[0]: flag
             for name, flag in zip(codec.names, codec.day_ahead, strict=True)}  # fmt: skip
    committed = {"rental_kwh", "rental_kw", "pool_plan_kw", "quote_per_kwh", "nomination_offset_kw"}
    assert {name for name, flag in ahead.items() if flag} == committed
    hourly = override("community_real", {"pool.price_rule": "auction"})
    entry = hourly.entries[hourly.names.index("village.quote_per_kwh")]
    assert not entry.day_ahead


# What a wish may move without an entry: the distance counted, a nomination that meets nobody, a
# quote that nobody reads.
RECORDS = (F.nominated_kw, F.pool_cut_kw)


@pytest.mark.parametrize("seed", range(60))
def test_what_no_entry_reaches_changes_nothing(seed):
    system, episode, requests = make_case(seed)
    unreached = np.setdiff1d(np.arange(system.request_size), ActionCodec(system).slots)
    loud = requests.copy()
    loud[:, unreached] = np.random.default_rng(seed).normal(0.0, 1e3, loud[:, unreached].shape)
    silent = requests.copy()
    silent[:, unreached] = 0.0
    left, right = (simulate(system, episode, r) for r in (silent, loud))
    alone = len(system.participants) == 1
    # As the state, a flow keeps the quote even where no price depends on it.
    flows = [c for c in F if not c.name.startswith("projected_") and c != F.quote_per_kwh]
    flows = [c for c in flows if not (alone and c in RECORDS)]
    assert np.array_equal(left.flows[:, :, flows], right.flows[:, :, flows])
    assert np.array_equal(left.ledger, right.ledger)
    end = system.block_size if not alone else N_STATE + system.segments
    state = [k for k in range(end) if k != S.quote_per_kwh]
    assert np.array_equal(left.blocks[:, :, state], right.blocks[:, :, state])


@pytest.mark.parametrize("seed", range(40))
def test_commitments_are_read_at_a_days_first_step_only(seed):
    system, episode, requests = make_case(seed)
    codec = ActionCodec(system)
    ahead = codec.slots[codec.day_ahead]
    later = np.flatnonzero(np.arange(len(requests)) % system.steps_per_day > 0)
    other = requests.copy()
    other[np.ix_(later, ahead)] = 7.0
    left, right = (simulate(system, episode, r) for r in (requests, other))
    assert np.array_equal(left.states, right.states)
    assert np.array_equal(left.flows, right.flows)
    assert np.array_equal(left.ledger, right.ledger)
