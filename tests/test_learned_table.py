"""What a table of learners counts, and what its page says."""

import numpy as np
import pytest

from experiments.aggregates import improvement_interval
from experiments.report.curves import Zero
from experiments.report.leaderboard import rank
from experiments.report.learned import publish
from experiments.report.table import table_of
from mmg_env.errors import InputError
from mmg_env.system import load_system

REFERENCES = ("tuned_rule", "mpc")
AGENTS = {"small": {0: "out/small-0/agent", 1: "out/small-1/agent", 2: "out/small-2/agent"}}
EPISODES = 6


def costs_of(policy):
    draw = np.random.default_rng(len(policy) + sum(map(ord, policy)))
    level = {"oracle": 10.0, "tuned_rule": 30.0, "mpc": 15.0}.get(policy, 18.0)
    return level + draw.normal(0.0, 2.0, EPISODES)


def records_of(agents=AGENTS, failed=()):
    policies = ["oracle", *REFERENCES, *(p for seeds in agents.values() for p in seeds.values())]
    return [
        {
            "suite": "tiny",
            "split": "test",
            "policy": policy,
            "episode": episode,
            "status": "failed" if (policy, episode) in failed else "ok",
            "cost": np.nan if (policy, episode) in failed else float(costs_of(policy)[episode]),
            "decision_ms_p50": 1.0,
            "bound": policy == "oracle",
        }
        for policy in policies
        for episode in range(EPISODES)
    ]


def made(references=REFERENCES, failed=()):
    return table_of(load_system("tiny"), references, AGENTS, records_of(failed=failed))


@pytest.fixture
def page(monkeypatch, capsys):
    """Return a function that returns the lines of a table's page."""
    monkeypatch.setattr("experiments.report.learned._training", lambda *_: ("1", "2"))

    def lines(table):
        publish([table], [], {"tiny": Zero("tuned_rule", 1.0, "EUR")}, None)
        return capsys.readouterr().out.splitlines()

    return lines


def row_of(lines, name):
    cells = next(line for line in lines if line.startswith(f"| {name}")).split("|")
    return [cell.strip() for cell in cells[1:-1]]


def test_an_agent_that_failed_is_left_out_alone(page):
    table = made(failed={(AGENTS["small"][1], 3), (AGENTS["small"][1], 4)})
    assert table.played["small"].seeds == (0, 2)
    assert table.episodes == tuple(range(EPISODES))
    assert table.played["small"].costs[1].tolist() == costs_of(AGENTS["small"][2]).tolist()
    lines = page(table)
    assert row_of(lines, "small")[0] == "small (2)"
    assert lines[-1] == "Left out: small, seed 1, which failed on 2 of 6 episodes."


@pytest.mark.parametrize("policy", ["oracle", "mpc"])
def test_an_episode_that_a_reference_failed_on_is_left_out_for_all(page, policy):
    table = made(failed={(policy, 2), (AGENTS["small"][1], 2)})
    assert table.episodes == (0, 1, 3, 4, 5)
    assert table.played["small"].seeds == (0, 1, 2)
    expected = np.delete(costs_of("mpc"), 2)
    assert table.played["mpc"].costs.tolist() == [expected.tolist()]
    assert page(table)[-1] == f"Left out: episode 2, where {policy} failed."


def test_a_learner_without_a_whole_seed_is_named_below_the_table(page):
    table = made(failed={(policy, 0) for policy in AGENTS["small"].values()})
    assert table.learners == []
    assert page(table)[-1].count("which failed on 1 of 6 episodes") == 3


def test_too_few_common_episodes_are_refused():
    failed = {("mpc", n) for n in range(3)} | {("oracle", n) for n in range(3, EPISODES - 1)}
    with pytest.raises(InputError, match=r"tiny, test: of 6 episodes 1 .*mpc on 3.* takes 2"):
        made(failed=failed)


def test_the_oracle_scores_one_without_interval_and_a_policy_as_on_the_leaderboard(page):
    table = made()
    lines = page(table)
    assert row_of(lines, "oracle")[2] == "1.00"
    assert row_of(lines, "tuned_rule")[2] == "0.00"
    board = rank(records_of({}), ["mpc"], "tuned_rule", "oracle")
    found = row_of(lines, "mpc")[2]
    value, low, high = (float(word.strip("()")) for word in found.replace("…", "").split())
    width = board.rows[0].score.high - board.rows[0].score.low
    assert (value, low, high) == pytest.approx(board.rows[0].score, abs=0.05 * width + 0.005)


def test_heads_and_rows_say_what_the_study_compares_with(page):
    lines = page(made(("mpc", "tuned_rule")))
    heads = row_of(lines, "learner")
    assert "score (mpc 0, oracle 1)" in heads
    assert {"saved beside mpc", "saved beside tuned_rule"} < set(heads)
    better = row_of(lines, "small")[heads.index("better than tuned_rule")]
    against = made().played["tuned_rule"].costs
    expected = improvement_interval(
        -made().played["small"].costs, -against, np.random.default_rng(0)
    )
    assert better == f"{expected.value:.2f}"  # on every episode, so there is no doubt
    against_mpc = row_of(page(made()), "small")[heads.index("better than tuned_rule")]
    assert "…" in against_mpc
