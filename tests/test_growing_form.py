"""The extensive form grown from some of its scenarios: the same optimum, in far fewer steps."""

import pytest
from houses import AVERSE, houses, random_problem, real

from baselines import growing_form
from baselines.day_ahead import with_risk
from baselines.growing_form import solve_growing
from baselines.highs import InfeasibleError, Solver
from baselines.risk import NEUTRAL, Risk
from mmg_env.errors import InputError

RISKS = [NEUTRAL, AVERSE, Risk(1.0, 0.9)]
UNLIKELY = (0.0, 0.0, 0.1, 0.2, 0.7)


@pytest.fixture
def steps(monkeypatch):
    """Return a list that fills with the simplex steps of every programme of several scenarios."""
    found = []
    solve = Solver.solve_lp

    def listen(self):
        answer = solve(self)
        if "scenarios of" in self.name:
            found.append(self._highs.getInfo().simplex_iteration_count)
        return answer

    monkeypatch.setattr(Solver, "solve_lp", listen)
    return found


@pytest.mark.parametrize("risk", RISKS)
@pytest.mark.parametrize("first", [1, 2, 9])
def test_it_is_the_optimum_of_all_scenarios(risk, first):
    problem = houses((), 7)
    found = solve_growing(problem, risk, first)
    whole = with_risk(problem, risk)
    assert found.objective == pytest.approx(whole.solve().objective, rel=1e-8)
    assert found.x.shape == (whole.matrix.shape[1],)
    assert (found.x >= whole.lower - 1e-6).all()
    assert (found.x <= whole.upper + 1e-6).all()
    rows = whole.matrix @ found.x
    assert (rows >= whole.row_lower - 1e-5).all()
    assert (rows <= whole.row_upper + 1e-5).all()
    assert whole.numbers.cost @ found.x + whole.numbers.offset == pytest.approx(found.objective)


@pytest.mark.parametrize("risk", RISKS)
@pytest.mark.parametrize("seed", range(6))
def test_random_communities(seed, risk):
    problem = random_problem(seed, 5)
    wanted = with_risk(problem, risk).solve().objective
    assert solve_growing(problem, risk, 2).objective == pytest.approx(wanted, rel=1e-7)


@pytest.mark.parametrize("risk", RISKS)
def test_scenarios_that_cannot_come_may_stand_first(risk):
    problem = houses((), 5, UNLIKELY)
    wanted = with_risk(problem, risk).solve().objective
    assert solve_growing(problem, risk, 1).objective == pytest.approx(wanted, rel=1e-7)


@pytest.mark.parametrize("risk", [NEUTRAL, AVERSE])
def test_batteries_a_demand_charge_and_a_nomination(risk):
    wanted = with_risk(real(), risk).solve().objective
    assert solve_growing(real(), risk, 1).objective == pytest.approx(wanted, rel=1e-7)


@pytest.mark.parametrize("risk", [NEUTRAL, AVERSE])
def test_what_is_left_to_do_is_little(steps, risk):
    problem = houses((), 16)
    with_risk(problem, risk).solve()
    cold = steps.pop()
    solve_growing(problem, risk, 8)
    assert len(steps) == 2
    assert steps[1] < 0.2 * cold


def test_where_commitments_have_no_answer_by_rounding_it_begins_from_nothing(monkeypatch):
    def none(*_):
        raise InfeasibleError("rounding")

    problem = houses((), 4)
    monkeypatch.setattr(growing_form, "_begin", none)
    wanted = problem.form.solve().objective
    assert solve_growing(problem, NEUTRAL, 2).objective == pytest.approx(wanted, rel=1e-8)


def test_one_scenario_at_least_is_solved_from_nothing():
    with pytest.raises(InputError, match=r"first is 0; it must be at least 1"):
        solve_growing(houses(), NEUTRAL, 0)
