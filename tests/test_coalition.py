"""Coalitions: the parts are the whole, and who joins loses nothing by it."""

from functools import cache
from itertools import combinations

import numpy as np
import pytest
from agreed_days import agreed, everyone, random_day
from houses import met
from scipy import sparse

from baselines.bargaining.coalition import (
    TRADES,
    coalition_of,
    columns_of,
    costs_of,
    owners,
    telling,
)
from baselines.deterministic import perfect_foresight
from baselines.replay import replay
from mmg_env import load_system, nominal_episode, sample_episode
from mmg_env.layout import F

GAP = 1e-5
SEEDS = range(12)
# A nomination ties all costs together, so that nothing follows for coalitions; these have none.
APART = (1, 4, 6, 8, 9, 10, 11, 12)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_column_has_an_owner_and_every_row_of_one_owner_is_its_own(seed):
    _, _, coalition = random_day(seed)
    columns = np.concatenate([piece.columns for piece in coalition.pieces])
    assert np.sort(columns).tolist() == list(range(coalition.compiled.matrix.shape[1]))
    owner = owners(coalition.compiled, coalition.system)
    rows = sparse.csr_array(coalition.compiled.matrix)
    for row in range(rows.shape[0]):
        several = len(set(owner[rows.indices[rows.indptr[row] : rows.indptr[row + 1]]])) > 1
        assert several == (row in coalition.common)


@pytest.mark.parametrize("seed", SEEDS)
def test_parts_of_a_solution_make_up_the_solution_and_its_cost(seed):
    _, _, coalition = random_day(seed)
    x = coalition.solve(everyone(coalition))
    assert np.array_equal(coalition.joint(x[piece.columns] for piece in coalition.pieces), x)
    cost = sum(float(piece.programme.numbers.cost @ x[piece.columns]) for piece in coalition.pieces)
    assert cost == pytest.approx(coalition.numbers.cost @ x)
    total = np.zeros(len(coalition.common))
    for p, piece in enumerate(coalition.pieces):
        acts = sparse.csr_array(piece.programme.matrix)[piece.coupled]
        total[coalition.place(p)] += acts @ x[piece.columns]
    low, high = coalition.limits
    assert (total >= low - 1e-6).all()
    assert (total <= high + 1e-6).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_piece_tells_is_what_it_does(seed):
    _, _, coalition = random_day(seed)
    x = coalition.solve(everyone(coalition))
    for piece in coalition.pieces:
        programme, columns = telling(piece)
        own = x[piece.columns]
        y = sparse.csr_array(piece.programme.matrix)[piece.coupled] @ own
        assert programme.matrix.shape[1] == len(own) + len(columns)
        rows = programme.matrix @ np.concatenate([own, y])
        assert np.abs(rows[piece.coupled]).max(initial=0.0) <= 1e-9
        assert (y >= programme.lower[columns] - 1e-6).all()
        assert (y <= programme.upper[columns] + 1e-6).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_all_together_are_the_whole_model(seed):
    system, episode, coalition = random_day(seed)
    plan = coalition.plan(coalition.solve(everyone(coalition), GAP))
    known = perfect_foresight(system, episode, GAP)
    scale = max(1.0, abs(known.objective))
    assert plan.cost == pytest.approx(known.objective, abs=3.0 * GAP * scale)
    assert costs_of(plan).sum() == pytest.approx(plan.cost)
    assert coalition.relaxed_cost(everyone(coalition)) <= plan.cost + 1e-6 * scale
    assert replay(system, episode, plan).cost == pytest.approx(plan.cost, abs=1e-6 * scale)


@pytest.mark.parametrize("seed", SEEDS)
def test_who_stands_alone_does_not_trade(seed):
    _, _, coalition = random_day(seed)
    plan = coalition.plan(coalition.solve(frozenset()))
    for flow in (F.sent_kw, F.received_kw, F.virtual_kw):
        assert np.abs(plan.flows[:, :, flow]).max() == 0.0
    columns = columns_of(coalition.compiled, TRADES)
    assert (coalition.without(everyone(coalition)).upper[columns] == 0.0).all()
    assert (coalition.numbers.upper[columns] > 0.0).any() or not len(columns)


def test_alone_everyone_pays_what_it_pays_in_a_system_without_a_pool():
    system = load_system("s1_3mg", {"pool.enabled": False})
    episode = nominal_episode(system)
    apart = costs_of(perfect_foresight(system, episode, GAP).plan)
    assert agreed("s1_3mg").alone == pytest.approx(apart, rel=3.0 * 1e-4)


@pytest.mark.parametrize("seed", APART)
def test_outsiders_pay_what_they_pay_alone(seed):
    _, _, coalition = random_day(seed)
    alone = costs_of(coalition.plan(coalition.solve(frozenset(), 0.0)))
    for p in range(len(alone)):
        plan = coalition.plan(coalition.solve(everyone(coalition) - {p}, GAP))
        room = 2.0 * GAP * np.abs(costs_of(plan)).sum() + 1e-6
        assert costs_of(plan)[p] == pytest.approx(alone[p], abs=room)


def savings(solve):
    """Return what each coalition saves."""
    alone = solve(frozenset())
    return cache(lambda some: alone - solve(some))


def superadditive(saving, count, room):
    """Return whether two coalitions never save less together than apart."""
    for size in range(2, count + 1):
        for whole in map(frozenset, combinations(range(count), size)):
            for part in range(1, size):
                for some in map(frozenset, combinations(sorted(whole), part)):
                    assert saving(whole) >= saving(some) + saving(whole - some) - room
    return True


@pytest.mark.parametrize("seed", APART)
def test_exact_plans_save_more_together_than_apart(seed):
    _, _, coalition = random_day(seed)
    solve = cache(lambda some: coalition.plan(coalition.solve(some, GAP)).cost)
    count = len(coalition.pieces)
    assert superadditive(savings(solve), count, 3.0 * GAP * abs(solve(frozenset())) + 1e-6)


@pytest.mark.parametrize("name", ["s1_3mg", "s2_crh"])
def test_relaxed_plans_do_so_exactly(name):
    system = load_system(name)
    coalition = coalition_of(system, sample_episode(system, "test", 0))
    saving = savings(cache(coalition.relaxed_cost))
    assert superadditive(saving, len(coalition.pieces), 1e-6)
    assert saving(everyone(coalition)) > 1.0
    assert all(saving(frozenset([p])) == pytest.approx(0.0, abs=1e-6) for p in everyone(coalition))


@pytest.mark.parametrize("key", ["members[1].grid.import_kw", "members[0].battery.power_kw"])
def test_what_is_changed_of_one_changes_its_own_piece_alone(key):
    one, other = (
        coalition_of(system, nominal_episode(system)).pieces
        for system in (load_system("s1_3mg"), load_system("s1_3mg", {key: 213.171}))
    )
    for p, (a, b) in enumerate(zip(one, other, strict=True)):
        n, m = a.programme.numbers, b.programme.numbers
        sides = ("lower", "upper", "row_lower", "row_upper", "cost")
        same = all(np.array_equal(getattr(n, side), getattr(m, side)) for side in sides)
        assert same == (f"members[{p}]" not in key)
        assert (a.programme.matrix != b.programme.matrix).nnz == 0


def test_the_others_net_loads_are_in_nobodys_piece():
    _, episode, coalition = random_day(12)
    count = len(coalition.system.members)
    wind, sun, load = (
        episode.values[: episode.steps, kind * count : (kind + 1) * count] for kind in range(3)
    )
    net = (load - wind - sun).T
    for p, piece in enumerate(coalition.pieces):
        n = telling(piece)[0].numbers
        known = np.concatenate([n.lower, n.upper, n.row_lower, n.row_upper, n.cost])
        for m in range(count):
            assert met(net[m], known) == (len(net[m]) if m == p else 0)
