"""Cooperation: what is agreed is the optimum, bounds hold it, and agents hear terms alone."""

from types import SimpleNamespace

import numpy as np
import pytest
from agreed_days import agreed, everyone, random_day
from houses import met
from scipy import sparse

from baselines.bargaining.carrying_out import balanced, exactly, upper_cost
from baselines.bargaining.coalition import coalition_of, costs_of
from baselines.bargaining.cooperation import (
    BEST,
    agents_of,
    common_price,
    cooperate,
    cooperate_in_turns,
    in_parallel,
    in_turns,
    lower_bound,
)
from baselines.negotiation import Agent, Penalty, Terms
from baselines.programme import Programme, numbers_of
from baselines.replay import replay
from baselines.solution import Stop
from mmg_env import load_system, nominal_episode

ADAPTIVE = Penalty(0.01, factor=2.0)
STOP = Stop(1e-3, 60, np.inf)


def best_rounds(coalition, said, gap, most):
    """Return after how many rounds what is agreed, once it balances, costs the least but a gap."""
    least = coalition.relaxed_cost(everyone(coalition))
    for number, last in enumerate(said, start=1):
        exchanged = balanced(coalition, last.taken_kw)
        price = common_price(coalition, last.price)
        if upper_cost(coalition, exchanged, price) <= least + gap * abs(least):
            return number
        if number == most:
            break
    return np.inf


@pytest.mark.parametrize("name", ["s1_3mg", "s1_4mg"])
def test_within_40_rounds_all_are_at_the_optimum_of_the_whole(name):
    coalition = agreed(name).coalition
    agents = agents_of(coalition)
    assert best_rounds(coalition, in_parallel(coalition, agents), 1e-4, 40) <= 40
    agents = agents_of(coalition)
    assert best_rounds(coalition, in_turns(coalition, agents, ADAPTIVE), 1e-4, 40) <= 40


@pytest.mark.parametrize("name", ["s1_3mg", "s1_4mg"])
def test_bounds_hold_the_optimum_of_s1(name):
    day = agreed(name)
    least = day.coalition.relaxed_cost(everyone(day.coalition))
    found = day.cooperation
    lower = lower_bound(day.coalition, agents_of(day.coalition), found.price)
    upper = upper_cost(day.coalition, found.exchanged, found.price)
    assert least * (1.0 - 1e-3) <= lower <= least * (1.0 + 1e-9)
    assert least * (1.0 - 1e-9) <= upper <= least * (1.0 + 1e-4)
    assert upper - 1e-6 * least <= day.plan.cost <= upper * (1.0 + 1e-3)


@pytest.mark.parametrize("name", ["s1_3mg", "s1_4mg"])
def test_cooperation_pays_and_its_plan_can_be_carried_out(name):
    day = agreed(name)
    assert day.alone.sum() - costs_of(day.plan).sum() > 5000.0
    again = replay(day.coalition.system, day.episode, day.plan)
    assert again.cost == pytest.approx(day.plan.cost, rel=1e-9)


# Random systems by what ties their participants together; a reserve and no storage are among them.
SEEDS = {
    "pool_balance": (1, 17, 55),
    "pool_in_balance": (8, 25, 36),
    "deviation": (0, 2, 18),
    "rent_energy": (67, 87),
    "balance": (9, 12, 16, 26),
}
CASES = [(row, seed) for row, seeds in SEEDS.items() for seed in seeds]


@pytest.mark.parametrize(("row", "seed"), CASES)
def test_these_random_systems_are_tied_together_as_they_should_be(row, seed):
    _, _, coalition = random_day(seed)
    assert coalition.among([row]).any()
    low, high = coalition.limits
    assert (low < high).any() == (row == "rent_energy")


@pytest.mark.parametrize("seed", [seed for _, seed in CASES])
@pytest.mark.parametrize("in_turn", [False, True])
def test_bounds_hold_the_optimum(seed, in_turn):
    _, _, coalition = random_day(seed)
    agents = agents_of(coalition)
    agree, penalty = (cooperate_in_turns, ADAPTIVE) if in_turn else (cooperate, BEST)
    found = agree(coalition, agents, STOP, penalty)
    least = coalition.relaxed_cost(everyone(coalition))
    slack = 1e-7 * max(1.0, abs(least))
    assert lower_bound(coalition, agents, found.price) <= least + slack
    assert upper_cost(coalition, found.exchanged, found.price) >= least - slack


@pytest.mark.parametrize("seed", [seed for _, seed in CASES])
def test_agreed_plans_can_be_carried_out(seed):
    system, episode, coalition = random_day(seed)
    found = cooperate_in_turns(coalition, agents_of(coalition), STOP, ADAPTIVE)
    plan = coalition.plan(exactly(coalition, found.exchanged, found.price))
    scale = max(1.0, abs(plan.cost))
    assert plan.cost >= coalition.relaxed_cost(everyone(coalition)) - 1e-6 * scale
    assert replay(system, episode, plan).cost == pytest.approx(plan.cost, abs=1e-6 * scale)


class Ear:
    """A party, all that it is told, and when."""

    def __init__(self, party, calls, number):
        self.party, self.calls, self.number, self.told, self.said = party, calls, number, [], []

    def answer(self, *terms):
        self.calls.append(self.number)
        self.told.append(terms)
        self.said.append(self.party.answer(*terms))
        return self.said[-1]


def listened(coalition, way, penalty, count):
    calls = []
    ears = [Ear(agent, calls, p) for p, agent in enumerate(agents_of(coalition))]
    said = way(coalition, ears, penalty)
    return ears, calls, [next(said) for _ in range(count)]


@pytest.mark.parametrize("way", [in_parallel, in_turns])
def test_agents_are_told_a_price_a_power_and_rho_alone(way):
    coalition = agreed("s1_3mg").coalition
    ears, _, _ = listened(coalition, way, Penalty(0.001), 5)
    for p, ear in enumerate(ears):
        assert len(ear.told) == 5
        for (terms,) in ear.told:
            assert isinstance(terms, Terms)
            assert terms.price.shape == terms.power_kw.shape == coalition.place(p).shape
            assert isinstance(terms.rho, float)
            assert terms.rho == 0.001


def test_in_turns_each_is_told_what_the_others_do_by_then():
    coalition = agreed("s1_3mg").coalition
    ears, calls, rounds = listened(coalition, in_turns, Penalty(0.01), 6)
    assert calls == [0, 1, 2, 3] * 6
    price = np.zeros(len(coalition.common))
    for number in range(6):
        for p, ear in enumerate(ears):
            others = np.zeros(len(coalition.common))
            for q, other in enumerate(ears):
                latest = number if q < p else number - 1
                if q != p and latest >= 0:
                    others[coalition.place(q)] += other.said[latest]
            (terms,) = ear.told[number]
            assert terms.power_kw == pytest.approx(-others[coalition.place(p)], abs=1e-9)
            assert terms.price == pytest.approx(price[coalition.place(p)], abs=1e-12)
        total = np.zeros(len(coalition.common))
        for p, ear in enumerate(ears):
            total[coalition.place(p)] += ear.said[number]
        price = price + 0.01 * total
        assert rounds[number].residuals.primal_kw == pytest.approx(np.sqrt(np.mean(total**2)))


def test_in_parallel_nobody_waits_for_anybody():
    """What is told in a round follows from what was said in the rounds before it."""
    coalition = agreed("s1_3mg").coalition
    ears, calls, _ = listened(coalition, in_parallel, Penalty(0.001), 4)
    assert calls == [0, 1, 2, 3] * 4
    price, said = np.zeros((4, 24)), np.zeros((4, 24))
    for number in range(4):
        wished = said + price / 0.001
        shown = wished - wished.mean(axis=0)
        for p, ear in enumerate(ears):
            (terms,) = ear.told[number]
            assert terms.power_kw == pytest.approx(shown[p], abs=1e-6)
            assert terms.price == pytest.approx(price[p], abs=1e-9)
        said = np.array([ear.said[number] for ear in ears])
        price = price + 0.001 * (said - shown)


def test_no_agent_holds_numbers_of_another():
    _, episode, coalition = random_day(12)
    count = len(coalition.system.members)
    wind, sun, load = (
        episode.values[: episode.steps, kind * count : (kind + 1) * count] for kind in range(3)
    )
    net = (load - wind - sun).T
    for p, agent in enumerate(agents_of(coalition)):
        known = np.concatenate(list(numbers_in(agent)))
        for m in range(count):
            assert met(net[m], known) == (len(net[m]) if m == p else 0)


def numbers_in(thing, depth=4):
    """Yield every array that can be reached from an object, as a row of numbers."""
    if isinstance(thing, np.ndarray):
        yield thing.astype(float).ravel()
    elif sparse.issparse(thing):
        yield thing.data
    elif isinstance(thing, (int, float)):
        yield np.array([float(thing)])
    elif depth and hasattr(thing, "__dict__"):
        for value in vars(thing).values():
            yield from numbers_in(value, depth - 1)


@pytest.mark.parametrize("key", ["members[1].grid.import_kw", "members[0].battery.power_kw"])
def test_what_is_changed_of_one_changes_no_others_agent(key):
    every = []
    for overrides in ({}, {key: 213.171}):
        system = load_system("s1_3mg", overrides)
        agents = agents_of(coalition_of(system, nominal_episode(system)))
        every.append([np.concatenate(list(numbers_in(agent))) for agent in agents])
    for p, (one, other) in enumerate(zip(*every, strict=True)):
        assert np.array_equal(one, other) == (f"members[{p}]" not in key)


def seller(worth, most):
    """Return an agent that is paid for each kW that it does, up to some kW."""
    numbers = numbers_of(
        np.zeros(1), np.array([most]), np.zeros(0), np.zeros(0), np.array([-worth])
    )
    programme = Programme("seller", sparse.csr_array((0, 1)), numbers)
    return Agent(programme, np.array([0]), np.ones(1), 1.0)


def shared_row(low, high):
    """Return what `cooperation` asks of a coalition, with one row in which two sellers stand."""
    return SimpleNamespace(
        place=lambda _: np.array([0]),
        limits=(np.array([low]), np.array([high])),
        system=SimpleNamespace(dt_h=1.0),
        numbers=SimpleNamespace(offset=0.0),
        pieces=(None, None),
    )


# Sellers earn 3 and 2 per kW, at most 4 kW each: limits, the optimum, its price.
ROWS = [
    (-np.inf, 5.0, (4.0, 1.0), 2.0),
    (0.0, 2.5, (2.5, 0.0), None),
    (-np.inf, 100.0, (4.0, 4.0), 0.0),
    (-np.inf, np.inf, (4.0, 4.0), 0.0),
    (5.0, 5.0, (4.0, 1.0), 2.0),
]


@pytest.mark.parametrize(("low", "high", "wanted", "price"), ROWS)
@pytest.mark.parametrize("way", [in_parallel, in_turns])
def test_rows_that_are_limits_are_kept_and_priced(way, low, high, wanted, price):
    coalition, agents = shared_row(low, high), [seller(3.0, 4.0), seller(2.0, 4.0)]
    said = way(coalition, agents, Penalty(0.5))
    for _ in range(400):
        last = next(said)
    found = common_price(coalition, last.price)
    assert last.taken_kw == pytest.approx(wanted, abs=1e-3)
    if price is not None:
        assert found == pytest.approx([price], abs=1e-3)
        best = -3.0 * wanted[0] - 2.0 * wanted[1]
        assert lower_bound(coalition, agents, np.array([price])) == pytest.approx(best, abs=1e-6)


def test_a_seller_must_sell_where_the_row_has_a_lower_side():
    coalition, agents = shared_row(3.0, np.inf), [seller(-1.0, 4.0), seller(-2.0, 4.0)]
    for way in (in_parallel, in_turns):
        said = way(coalition, agents, Penalty(0.5))
        for _ in range(400):
            last = next(said)
        assert last.taken_kw == pytest.approx([3.0, 0.0], abs=1e-3)
        found = common_price(coalition, last.price)
        assert -2.0 - 1e-3 <= found[0] <= -1.0 + 1e-3
    assert lower_bound(coalition, agents, np.array([-1.0])) == pytest.approx(3.0)
    assert lower_bound(coalition, agents, np.array([0.5])) == -np.inf


@pytest.mark.parametrize("low_high", [(-np.inf, 5.0), (2.0, 5.0), (5.0, 5.0)])
def test_at_any_price_the_lower_bound_is_one(low_high):
    coalition, agents = shared_row(*low_high), [seller(3.0, 4.0), seller(2.0, 4.0)]
    bounds = [lower_bound(coalition, agents, np.array([p])) for p in np.linspace(-1.0, 4.0, 51)]
    assert max(bounds) == pytest.approx(-14.0, abs=1e-6)
    assert bounds[30] == pytest.approx(max(bounds))  # the price of 2


def test_without_common_rows_one_round_does():
    """Nobody is tied to anybody: all is said at once."""
    _, _, coalition = random_day(19)
    assert len(coalition.common) == 0
    for agree in (cooperate, cooperate_in_turns):
        found = agree(coalition, agents_of(coalition), STOP)
        assert len(found.trace) == 1
        least = coalition.relaxed_cost(everyone(coalition))
        assert upper_cost(coalition, found.exchanged, found.price) == pytest.approx(least)


@pytest.mark.parametrize("name", ["s1_3mg", "s1_4mg"])
def test_what_is_repaired_balances_and_is_in_reach(name):
    coalition = agreed(name).coalition
    rng = np.random.default_rng(0)
    sizes = [len(coalition.place(p)) for p in range(len(coalition.pieces))]
    for scale in (0.0, 10.0, 5000.0):
        exchanged = balanced(coalition, rng.normal(0.0, scale, sum(sizes)))
        total = np.zeros(len(coalition.common))
        for p, y in enumerate(exchanged):
            total[coalition.place(p)] += y
            assert np.abs(y).max(initial=0.0) <= 2500.0 + 1e-9
        assert total == pytest.approx(0.0, abs=1e-9)
