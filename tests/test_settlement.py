"""Payments after an episode move money among participants, and nothing else."""

import numpy as np
import pytest
from strategies import make_case

from mmg_env import CommunityEnv
from mmg_env.errors import InputError
from mmg_env.kpis import kpis
from mmg_env.layout import L
from mmg_env.settlement import settled
from mmg_env.trajectory import Trajectory, simulate

SEEDS = range(8)


def case(seed: int) -> tuple[Trajectory, np.ndarray]:
    """Return an episode with random payments that sum up to zero."""
    run = simulate(*make_case(seed))
    drawn = np.random.default_rng([seed, 5]).normal(0.0, 1e3, len(run.system.participants))
    return run, drawn - drawn.mean()


def two() -> tuple[Trajectory, np.ndarray]:
    """Return the first case with at least two participants."""
    return next(found for found in map(case, SEEDS) if len(found[1]) > 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_only_the_settlement_changes(seed: int) -> None:
    run, payments = case(seed)
    before = run.ledger.copy()
    found = settled(run, payments)
    others = [column for column in L if column is not L.settlement]
    assert np.array_equal(found.ledger[:, :, others], before[:, :, others])
    assert np.array_equal(found.account(L.settlement)[-1], payments)
    assert not found.account(L.settlement)[:-1].any()
    assert np.array_equal(run.ledger, before)
    assert found.cost == run.cost
    assert np.array_equal(found.costs, run.costs)
    assert np.array_equal(found.flows, run.flows)
    assert found.transfers == pytest.approx(run.transfers + payments)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_simulator_leaves_it_to_others(seed: int) -> None:
    run, _ = case(seed)
    assert not run.account(L.settlement).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_ledger_still_sums_up_to_the_cost(seed: int) -> None:
    run, payments = case(seed)
    found = settled(run, payments)
    size = np.abs(found.ledger).sum()
    assert found.ledger.sum() == pytest.approx(run.cost, abs=1e-9 * size)
    assert (found.costs + found.transfers).sum() == pytest.approx(run.cost, abs=1e-9 * size)


def test_key_figures_tell_what_members_paid() -> None:
    run, payments = two()
    before, after = kpis(run.system, run), kpis(run.system, settled(run, payments))
    members = len(run.system.members)
    assert after["settlement"] == pytest.approx(payments[:members].sum())
    assert before["settlement"] == 0.0
    del before["settlement"], after["settlement"]
    assert before == after


def test_a_later_settlement_replaces_the_earlier() -> None:
    run, payments = two()
    again = settled(settled(run, 3.0 * payments), payments)
    assert np.array_equal(again.ledger, settled(run, payments).ledger)


def test_what_is_settled_cannot_be_written() -> None:
    found = settled(*two())
    with pytest.raises(ValueError, match="read-only"):
        found.ledger[...] = 0.0


def test_rounding_is_forgiven() -> None:
    run, payments = two()
    nearly = payments.copy()
    nearly[0] += 5e-10 * np.abs(payments).sum()
    assert np.array_equal(settled(run, nearly).account(L.settlement)[-1], nearly)


def test_payments_that_make_or_lose_money_are_refused() -> None:
    run, payments = two()
    payments[0] += 1e-6 * np.abs(payments).sum()
    with pytest.raises(InputError, match=r"sum up to .*; what one pays another must get"):
        settled(run, payments)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_payments_that_are_no_numbers_are_refused(value: float) -> None:
    run, payments = two()
    payments[0] = value
    with pytest.raises(InputError, match="all must be finite numbers"):
        settled(run, payments)


def test_payments_of_another_number_of_participants_are_refused() -> None:
    run, payments = two()
    with pytest.raises(InputError, match=r"they must be one for each of \d participants"):
        settled(run, payments[:-1])


def test_an_episode_that_is_not_over_is_refused() -> None:
    run, payments = two()
    env = CommunityEnv(run.system)
    env.reset(options={"episode": run.episode})
    env.step(np.zeros(env.action_space.shape))
    with pytest.raises(InputError, match="the episode is not over"):
        settled(env.trajectory, payments)
