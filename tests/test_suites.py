"""The shipped suites: plans replay, golden values of the papers' systems, cases of the storage."""

import pytest

from baselines import perfect_foresight, replay
from mmg_env import load_system, nominal_episode, sample_episode
from mmg_env.config_file import load_suite, suite_names

# Perfect foresight on the nominal day, CNY; made by this code, and kept because both models of the
# physics and two solvers' searches stand behind each. Compare s1_3mg in docs/model.md.
NOMINAL = {
    ("s1_4mg", ()): 80798.35,
    ("s2_crh", ()): -152.21,
    ("s2_crh", (("ces", None),)): 1440.08,
}


@pytest.mark.parametrize("name", suite_names())
def test_the_oracles_plan_costs_what_it_says(name):
    hours = {"episode_h": 24} if load_system(name).config.episode_h > 24 else {}
    system = load_system(name, hours)
    for split in ("test", "shift"):
        episode = sample_episode(system, split, 0)
        solution = perfect_foresight(system, episode)
        played = replay(system, episode, solution.plan)
        assert played.cost == pytest.approx(solution.objective, rel=1e-6)
        assert solution.bound <= solution.objective


@pytest.mark.parametrize(("name", "changes"), NOMINAL)
def test_nominal_days_cost_what_they_did(name, changes):
    system = load_system(name, dict(changes))
    found = perfect_foresight(system, nominal_episode(system)).objective
    assert found == pytest.approx(NOMINAL[name, changes], rel=5e-4)


def test_more_of_the_storage_never_costs_more():
    """The cases of Bayat et al. 2026, from no storage to all of its roles."""
    case = {"ces.markets": False, "ces.rental": False, "ces.pool_in": False, "pool.members": False}
    costs = []
    for changes in ({"ces": None, "pool.members": False}, case, {"ces.markets": False}, {}):
        system = load_system("s2_crh", changes)
        costs.append(perfect_foresight(system, nominal_episode(system)).objective)
    assert costs == sorted(costs, reverse=True)


def test_fixtures_are_labelled_so():
    fixtures = {name for name in suite_names() if load_suite(name).regression}
    assert fixtures == {"s1_3mg", "s1_4mg", "s2_crh", "tiny"} & set(suite_names())
