"""Laws of bargaining that hold whoever plays, on systems of hours and of half hours."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from agreed_days import everyone, random_day
from scipy import sparse

from baselines.bargaining.audits import detect
from baselines.bargaining.bargain import by_shapley
from baselines.bargaining.carrying_out import balanced, carried_out, exactly
from baselines.bargaining.coalition import RENT, VIRTUAL, columns_of, costs_of, whole_programme
from baselines.bargaining.cooperation import agents_of, cooperate, in_parallel, lower_bound
from baselines.bargaining.margins import margins, with_margins
from baselines.bargaining.quoted_market import QuotedMarket
from baselines.bargaining.robust_parts import divided
from baselines.bargaining.settlement import alone, contributed_power, equal_power, hidden, settle
from baselines.negotiation import Agent, Terms
from baselines.programme import Programme, numbers_of
from baselines.replay import replay
from baselines.solution import Stop
from mmg_env import load_system
from mmg_env.layout import TRANSFERS, F, L, X
from tests.robust_communities import FINE, community
from tests.robust_communities import found as worst_cases

FEW = Stop(1e-3, 30, np.inf)
# Random systems with a pool; the first three have half hours.
HALF = (16, 39, 43)
SEEDS = (*HALF, 1, 12, 28, 29, 42, 87)
RENTING = (29, 42, 67, 87)


@cache
def day(seed):
    """Return a random day, few rounds of agreement, a solution, its plan and its replay."""
    system, episode, coalition = random_day(seed)
    found = cooperate(coalition, agents_of(coalition), FEW)
    x = exactly(coalition, found.exchanged, found.price)
    plan = coalition.plan(x)
    return SimpleNamespace(
        system=system,
        episode=episode,
        coalition=coalition,
        found=found,
        x=x,
        plan=plan,
        played=replay(system, episode, plan),
        alone=costs_of(coalition.plan(coalition.solve(frozenset()))),
    )


def test_half_hours_are_among_the_days():
    assert [day(seed).system.dt_h for seed in HALF] == [0.5] * 3


@pytest.mark.parametrize("seed", [2, 12, 3, 14, 18])
def test_every_piece_is_a_participant_also_without_a_storage(seed):
    system, _, coalition = random_day(seed)
    assert system.day_ahead_grid or system.config.ces is not None
    pieces, participants = len(coalition.pieces), len(system.participants)
    assert pieces == participants


# The plan


@pytest.mark.parametrize("seed", SEEDS)
def test_even_what_few_rounds_agree_on_keeps_all_rows_and_bounds(seed):
    own = day(seed)
    n, compiled = own.coalition.numbers, own.coalition.compiled
    does = sparse.csr_array(compiled.matrix) @ own.x
    scale = np.maximum(1.0, abs(sparse.csr_array(compiled.matrix)) @ np.abs(own.x))
    assert (does >= n.row_lower - 1e-6 * scale).all()
    assert (does <= n.row_upper + 1e-6 * scale).all()
    assert (own.x >= n.lower - 1e-6).all()
    assert (own.x <= n.upper + 1e-6).all()
    assert np.isin(own.x[compiled.binary], [0.0, 1.0]).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_its_replay_costs_everyone_what_the_plan_says(seed):
    own = day(seed)
    scale = np.abs(own.plan.ledger[:, :, : L.pool_payment]).sum()
    assert own.played.costs == pytest.approx(costs_of(own.plan), abs=1e-6 * scale)


@pytest.mark.parametrize("seed", HALF)
def test_at_the_marginal_costs_the_lower_bound_is_the_optimum(seed):
    coalition = day(seed).coalition
    whole = whole_programme(coalition.compiled, coalition.numbers).solve()
    price = -whole.row_dual[coalition.common] / coalition.system.dt_h
    bound = lower_bound(coalition, agents_of(coalition), price)
    assert bound == pytest.approx(whole.objective, rel=1e-6)


@pytest.mark.parametrize("seed", HALF)
def test_prices_count_by_the_hour_in_what_a_member_answers(seed):
    """Without disagreement weighed, an answer costs as little as any answer can."""
    coalition = day(seed).coalition
    rng = np.random.default_rng(seed)
    for p, agent in enumerate(agents_of(coalition)[:-1]):
        price = rng.uniform(0.05, 0.3, len(coalition.place(p)))
        answer = agent.answer(Terms(price, np.zeros(len(price)), 1e-7))
        width = len(coalition.pieces[p].columns)
        own = coalition.pieces[p].programme.numbers.cost @ agent.x[:width]
        paid = own + 0.5 * price @ answer
        assert agent.least_cost(price) == pytest.approx(paid, rel=1e-3, abs=0.05)


def test_a_limit_is_priced_by_the_hour_and_constants_count():
    """Two sellers earn 3 and 2 per kW, 4 kW each, of which 5 kW fit; half an hour at 4 per kWh."""

    def seller(worth):
        numbers = numbers_of(np.zeros(1), np.array([4.0]), np.zeros(0), np.zeros(0), -worth)
        programme = Programme("seller", sparse.csr_array((0, 1)), numbers)
        return Agent(programme, np.array([0]), np.array([0.5]), 1.0)

    coalition = SimpleNamespace(
        place=lambda _: np.array([0]),
        limits=(np.array([-np.inf]), np.array([5.0])),
        system=SimpleNamespace(dt_h=0.5),
        numbers=SimpleNamespace(offset=7.0),
    )
    agents = [seller(np.array([3.0])), seller(np.array([2.0]))]
    bound = lower_bound(coalition, agents, np.array([4.0]))
    assert bound == pytest.approx(7.0 - 3.0 * 4.0 - 2.0 * 1.0)


@pytest.mark.parametrize("seed", RENTING)
def test_nobody_rents_more_than_its_part_and_all_pay_its_price_by_the_hour(seed):
    system, _, coalition = random_day(seed)
    said = next(in_parallel(coalition, agents_of(coalition)))
    exchanged = balanced(coalition, said.taken_kw)
    price = np.linspace(0.1, 0.2, len(coalition.common))
    rent = coalition.among(RENT)
    seen = []

    def solve(p, programme):
        place, width = coalition.place(p), len(coalition.pieces[p].columns)
        at = width + np.flatnonzero(rent[place])
        if p < len(coalition.pieces) - 1 and len(at):
            seen.append(p)
            most = np.maximum(exchanged[p][rent[place]], programme.lower[at])
            assert (programme.upper[at] <= most + 1e-12).all()
            wanted = system.dt_h * price[place][rent[place]]
            assert programme.numbers.cost[at] == pytest.approx(wanted)
        return programme.solve().x

    carried_out(coalition, exchanged, price, solve)
    assert seen


@pytest.mark.parametrize("seed", RENTING)
def test_what_more_is_wanted_of_rent_than_there_is_shrinks(seed):
    _, _, coalition = random_day(seed)
    wanted = np.concatenate([np.full(len(coalition.place(p)), 1e9) for p in everyone(coalition)])
    rented = np.zeros(len(coalition.common))
    for p, own in enumerate(balanced(coalition, wanted)):
        rented[coalition.place(p)] += own
    rent = coalition.among(RENT)
    assert (rented[rent] <= coalition.limits[1][rent] + 1e-9).all()
    assert rented[rent].max() > 1.0


@pytest.mark.parametrize("seed", [12, 29])
def test_messages_are_a_price_and_a_power_for_each_own_row(seed):
    _, _, coalition = random_day(seed)
    told = []

    class Ear:
        def __init__(self, agent):
            self.agent = agent

        def answer(self, *terms):
            told.append(terms)
            return self.agent.answer(*terms)

    said = in_parallel(coalition, [Ear(agent) for agent in agents_of(coalition)])
    rounds = [next(said) for _ in range(3)]
    assert len(rounds) * len(coalition.pieces) == len(told)
    for number, (terms,) in enumerate(told):
        shape = coalition.place(number % len(coalition.pieces)).shape
        assert isinstance(terms, Terms)
        assert terms.price.shape == terms.power_kw.shape == shape
        assert np.ndim(terms.rho) == 0


# Standing alone


@pytest.mark.parametrize("seed", RENTING)
def test_without_the_storage_nobody_rents(seed):
    _, _, coalition = random_day(seed)
    columns = columns_of(coalition.compiled, VIRTUAL)
    assert (coalition.numbers.upper[columns] > 0.0).any()
    assert not coalition.without([len(coalition.pieces) - 1]).upper[columns].any()


def test_alone_neither_pool_nor_rent_is_there():
    for name in ("community_real", "s2_crh"):
        system = load_system(name)
        assert system.rental
        apart = alone(system)
        assert not apart.rental
        assert not apart.config.pool.enabled


# The payments


def powers(own):
    """Return ways to weigh participants, Shapley's among them."""
    coalition = own.coalition
    cost = cache(coalition.relaxed_cost)
    shares = by_shapley(len(own.alone), lambda some: cost(frozenset()) - cost(some))
    return equal_power, contributed_power, lambda _: shares


@pytest.mark.parametrize("seed", [12, 16, 28, 87])
def test_cooperation_pays_everyone_in_proportion_to_its_power(seed):
    own = day(seed)
    surplus = own.alone.sum() - own.played.cost
    assert surplus > 0.0
    for power in powers(own):
        found = settle(own.system, own.played, own.alone, power)
        shares = power(own.played)
        assert found.gains == pytest.approx(shares * surplus, rel=1e-6, abs=1e-6 * surplus)
        assert (found.final <= own.alone + 1e-9 * surplus).all()
        ledger = found.trajectory.ledger
        assert ledger[:, :, L.settlement].sum() == pytest.approx(0.0, abs=1e-9 * surplus)
        assert ledger.sum(axis=(0, 2)) == pytest.approx(found.final)
        every = ledger[:, :, [L[name] for name in TRANSFERS]].sum(axis=(0, 2))
        assert every == pytest.approx(found.payments, abs=1e-9 * surplus)


@pytest.mark.parametrize("seed", [16, 12])
def test_what_is_hidden_is_a_margin_on_energy(seed):
    own = day(seed)
    count = len(own.alone)
    lies = np.linspace(0.1, 0.8, count)
    spread = own.episode.shared(X.price_buy) - own.episode.shared(X.price_sell)
    kw = own.played.flow(F.sent_kw) + own.played.flow(F.received_kw)
    kwh = kw * own.system.dt_h
    assert kwh.sum() > 1.0
    wanted = [lies[p] * (0.5 * spread @ kwh[:, p]) for p in range(count)]
    assert hidden(own.system, own.played, lies) == pytest.approx(wanted)


def test_where_nobody_may_exchange_anything_all_pay_what_they_pay_alone():
    """Who is told to do nothing does what it does alone."""
    coalition = day(12).coalition
    nothing = tuple(np.zeros(len(coalition.place(p))) for p in everyone(coalition))
    x = exactly(coalition, nothing, np.zeros(len(coalition.common)))
    assert costs_of(coalition.plan(x)).sum() == pytest.approx(day(12).alone.sum(), rel=2e-4)


# Quotes and audits


@pytest.mark.parametrize("seed", [16, 43])
def test_a_plan_made_by_quotes_costs_in_truth_what_is_quoted_less_what_is_hidden(seed):
    coalition = day(seed).coalition
    lies = np.linspace(0.1, 0.5, len(coalition.pieces))
    margin = margins(coalition.system, lies, coalition.rows)
    told = with_margins(coalition.compiled, coalition.numbers, margin, coalition.system.dt_h)
    quoted = whole_programme(coalition.compiled, told).solve().objective
    taken = QuotedMarket(coalition).outcome(lies)
    truth = coalition.relaxed_cost(frozenset()) - taken.surplus
    assert taken.traded_kwh.sum() > 1.0
    assert truth + taken.hidden.sum() == pytest.approx(quoted, abs=1e-3 * taken.surplus)


def test_a_flag_costs_trust_from_the_next_block_on():
    """Where nobody saves anything there is nothing to hide, so the first block is without flags."""
    rng = np.random.default_rng(0)
    known = np.column_stack([rng.uniform(50.0, 150.0, 55), rng.normal(size=55)])
    known[40:45, 0] = -10.0
    savings = known[:, :1] + rng.normal(size=(55, 4))
    savings[40:45] = -1.0  # more than expected
    for count, same in ((10, True), (15, False)):
        asked = (known[:40], known[40 : 40 + count]), (savings[:40], savings[40 : 40 + count])
        found = detect(*asked, np.full(4, 0.25), np.random.default_rng(1))
        assert found.recall > 0.1
        apart = abs(found.distrusted.redistributed - found.seized.redistributed)
        assert (apart < 1e-9) == same


# Worst cases


def test_costs_alone_are_proven_like_those_of_cooperation():
    for own in (*worst_cases().alone, *worst_cases().decided):
        assert own.within(FINE.gap)


def test_what_a_scene_costs_whatever_is_done_is_paid_once():
    problem = community().problem
    scenes = tuple(
        replace(
            own,
            programme=Programme(
                own.programme.name,
                own.programme.matrix,
                replace(own.programme.numbers, offset=100.0 + number),
            ),
        )
        for number, own in enumerate(problem.scenes)
    )
    form = community().form
    parts = divided(form.system, form.compiled, replace(problem, scenes=scenes)).parts
    for number in range(len(scenes)):
        paid = [part.problem.scenes[number].programme.numbers.offset for part in parts]
        assert sum(paid) == 100.0 + number
