"""The commands `mmg perf ...`: speed as ratios measured in one run.

Seconds depend on the machine and its other guests; ratios of things that are measured in turn,
round by round, depend on them far less. Each number is the median over rounds.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any, Final

import gymnasium
import numpy as np
import typer
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from experiments.engine import live_through
from experiments.perf_batch import compare_batches
from experiments.records import Cell
from mmg_env.env import CommunityEnv
from mmg_env.errors import InputError
from mmg_env.kernel import reset_state
from mmg_env.layout import W
from mmg_env.splits import sample_episode
from mmg_env.state import State
from mmg_env.system import System, load_system

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

SUITE: Final = "s1_3mg"
DECIDING: Final = ("mpc", "mpc_climatology")
"""Policies whose decisions are timed."""
EARLY, LATE, WINDOW = 10, 10_000, 500
"""Steps that are compared in a long episode, and how many are timed from each."""

Env = gymnasium.Env[Any, Any]
Data = Mapping[str, NDArray[np.float64]]


class NoOp(gymnasium.Env[NDArray[np.float32], NDArray[Any]]):
    """Does nothing, with given spaces and episode length: the cost of the interface alone.

    It hands out a new observation and info each time, as Gymnasium asks of every environment.
    """

    def __init__(self, like: CommunityEnv) -> None:
        """Take the spaces and the episode length of another environment."""
        self.action_space = like.action_space
        self.observation_space = like.observation_space
        self._steps = like.system.episode_steps
        self._zeros = np.zeros(like.observation_space.shape or (), np.float32)
        self._t = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin again."""
        super().reset(seed=seed, options=options)
        self._t = 0
        return self._zeros.copy(), {}

    def step(
        self,
        action: NDArray[Any],  # noqa: ARG002
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Count."""
        self._t += 1
        return self._zeros.copy(), 0.0, False, self._t == self._steps, {}


@app.command()
def env(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 7,
    steps: Annotated[int, typer.Option(min=1, help="Steps per round.")] = 20_000,
) -> None:
    """Compare one environment and a batch of 256 with empty ones, one also with CartPole."""
    envs = made_alike()
    found: dict[str, list[float]] = {name: [] for name in envs}
    for _ in range(rounds + 1):
        for name, candidate in envs.items():
            found[name].append(steps_per_s(candidate, steps))
    # The first round pays for compilation and cold caches.
    speed = {name: median(values[1:]) for name, values in found.items()}
    for name, value in speed.items():
        typer.echo(f"{name:<14}{value:>12,.0f} steps/s")
    empty, cart = speed[SUITE] / speed["no-op"], speed[SUITE] / speed["CartPole"]
    typer.echo(f"{SUITE} / no-op     {empty:.3f}  (wanted: at least 0.143)")
    typer.echo(f"{SUITE} / CartPole  {cart:.2f}  (wanted: at least 1.5)")
    early, late = step_times()
    typer.echo(f"step {EARLY}: {1e6 * early:.2f} us, step {LATE}: {1e6 * late:.2f} us")
    typer.echo(f"step {LATE} / step {EARLY}  {late / early:.2f}  (wanted: about 1)")
    compare_batches(SUITE, no_op, rounds, max(1, steps // 40))


def made_alike() -> dict[str, Env]:
    """Return the environments that are compared, each in the wrappers of `gymnasium.make`."""
    return {
        SUITE: gymnasium.make("mmg/Community-v0", system=SUITE, split="test"),
        "no-op": no_op(),
        "CartPole": gymnasium.make("CartPole-v1"),
    }


def no_op() -> Env:
    """Return an environment that does nothing, made as Gymnasium makes every one."""
    inner = _community()
    creator: Any = lambda **_: NoOp(inner)  # noqa: E731 - typed as any: a protocol of keywords
    return gymnasium.make(EnvSpec(id="NoOp-v0", entry_point=creator))


@cache
def _community() -> CommunityEnv:
    return CommunityEnv(SUITE, split="test")


def steps_per_s(candidate: Env, steps: int) -> float:
    """Return the speed of `step`, the resets between episodes excluded."""
    candidate.action_space.seed(0)
    actions = [candidate.action_space.sample() for _ in range(64)]
    spent, left, seed = 0.0, steps, 0
    while left > 0:
        candidate.reset(seed=seed)
        seed += 1
        begin = perf_counter()
        left -= _play(candidate, actions, left)
        spent += perf_counter() - begin
    return steps / spent


def _play(candidate: Env, actions: list[Any], most: int) -> int:
    """Step until the episode ends or `most` steps are done; return how many were."""
    for count in range(1, most + 1):
        _, _, terminated, truncated, _ = candidate.step(actions[count & 63])
        if terminated or truncated:
            return count
    return most


def step_times() -> tuple[float, float]:
    """Return the median time (s) of a step early and late in a year of quarter hours."""
    overrides = {"episode_h": 8760, "dt_h": 0.25, "fade": False}
    community = CommunityEnv(load_system(SUITE, overrides), split="test")
    community.reset(seed=0)
    community.action_space.seed(0)
    action = community.action_space.sample()
    times = []
    for _ in range(LATE + WINDOW):
        begin = perf_counter()
        community.step(action)
        times.append(perf_counter() - begin)
    return median(times[EARLY : EARLY + WINDOW]), median(times[LATE:])


@app.command()
def ppo(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 3,
    frames: Annotated[int, typer.Option(min=1, help="Frames per round.")] = 50_000,
) -> None:
    """Compare PPO on the batch with PPO on one that does nothing; needs the extra rl."""
    try:
        from experiments.perf_ppo import compare_learning
    except ImportError as error:
        raise InputError(f"mmg perf ppo: {error.name} is missing; pip install '.[rl]'") from None

    compare_learning(SUITE, rounds, frames)


@app.command()
def mpc(
    episodes: Annotated[int, typer.Option(min=1, help="Test episodes of s1_3mg to play.")] = 5,
    rebuilds: Annotated[int, typer.Option(min=1, help="How often the model is rebuilt.")] = 12,
) -> None:
    """Time decisions of mpc and mpc_climatology, and the LP of a day compiled and rebuilt in Pyomo.

    MPC against scenarios is not timed: it takes far longer.
    """
    system = load_system(SUITE)
    compiled, rebuilt = lp_times(system, episodes, rebuilds)
    rows = {"LP, compiled": compiled, "LP, rebuilt in Pyomo": rebuilt}
    for name, values in (decision_times(system, episodes) | rows).items():
        p50, p95 = np.percentile(values, [50, 95])
        typer.echo(f"{name:<22}p50 {p50:8.2f} ms   p95 {p95:8.2f} ms")
    ratio = median(rebuilt) / median(compiled)
    typer.echo(f"rebuilt / compiled  {ratio:.1f}  (wanted: at least 20)")


@app.command()
def benders(
    scenarios: Annotated[int, typer.Option(min=1, help="Scenarios to compare methods on.")] = 10,
    most: Annotated[int, typer.Option(min=1, help="Most scenarios to measure growth on.")] = 1000,
    limit_s: Annotated[float, typer.Option(min=0.0, help="A method ends after this, s.")] = 120.0,
    out: Annotated[Path | None, typer.Option(help="CSV file of the figures.")] = None,
) -> None:
    """Time a day's commitments on s2_crh: all scenarios at once, by cuts, by mpi-sppy."""
    from experiments.perf_benders import compare_planning

    compare_planning(scenarios, most, limit_s, out)


@app.command()
def robust(
    limit_s: Annotated[float, typer.Option(min=0.0, help="A method ends after this, s.")] = 120.0,
) -> None:
    """Time robust days on s1_3mg: a small one beside PyROS, and the members' days of 24 h."""
    from experiments.perf_robust import compare_robust

    compare_robust(limit_s)


@app.command()
def cooperation(
    quick: Annotated[bool, typer.Option("--quick", help="One suite, small communities.")] = False,
) -> None:
    """Time ADMM on s1_3mg and s1_4mg, per member from 3 to 50, payments, and the robust chain."""
    from experiments.perf_cooperation import compare_cooperation

    compare_cooperation(quick)


def decision_times(system: System, episodes: int) -> dict[str, list[float]]:
    """Return the times (ms) of the decisions of MPC against one forecast, by policy."""
    times: dict[str, list[float]] = {name: [] for name in DECIDING}
    for episode in range(episodes):
        for name in DECIDING:
            cell = Cell(system.name, "test", episode, name)
            times[name] += live_through(system, cell).decision_ms.tolist()
    return times


def lp_times(system: System, episodes: int, rebuilds: int) -> tuple[list[float], list[float]]:
    """Return the times (ms) of one rolling-horizon LP, binaries relaxed, both ways.

    Both solve the day after every step of the episodes as it is forecast there; the rebuilt way
    is so much slower that it takes only some of the steps.
    """
    from baselines.deterministic import compiled_model, horizon_of
    from baselines.highs import Solver

    model = compiled_model(system, horizon_of(system, 0, 1))
    solver = Solver(model)
    windows = list(forecast_data(system, episodes))
    chosen = set(np.linspace(0, len(windows) - 1, rebuilds).astype(int).tolist())
    compiled, rebuilt = [], []
    for number, data in enumerate(windows):
        begin = perf_counter()
        quick = solve_compiled(solver, model, data)
        compiled.append(1e3 * (perf_counter() - begin))
        if number in chosen:
            begin = perf_counter()
            slow = solve_rebuilt(system, data)
            rebuilt.append(1e3 * (perf_counter() - begin))
            if not np.isclose(quick, slow, rtol=1e-7):
                raise RuntimeError(f"the same LP costs {quick} compiled and {slow} rebuilt")
    return compiled[1:], rebuilt


def forecast_data(system: System, episodes: int) -> Iterator[Data]:
    """Yield what the LP is told at every step: the next day's forecast, and the state at reset."""
    from baselines.window import window_data

    state = np.empty(system.state_size)
    reset_state(system.physics, state)
    rate = np.array([system.physics.world[W.demand_charge_per_kw]])
    day = system.steps_per_day
    for index in range(episodes):
        episode = sample_episode(system, "test", index)
        for t in range(episode.steps):
            rows = episode.forecast(t).values[:day]
            yield window_data(system, State(system, state), rows, rate)


def solve_compiled(solver: Any, model: Any, data: Data) -> float:
    """Solve the LP on matrices that exist, from the last basis; return its value."""
    from baselines.compiled import fill

    solver.load(fill(model, data))
    return float(solver.solve_lp().objective)


def solve_rebuilt(system: System, data: Data) -> float:
    """State the model anew in Pyomo, hand it to HiGHS and return its value."""
    import pyomo.environ as pyo

    from baselines.deterministic import horizon_of
    from baselines.dispatch_ces import build_dispatch

    dispatch = build_dispatch(system, horizon_of(system, 0, 1))
    for name in dispatch.data:
        variable = dispatch.model.component(name)
        for index in variable:
            variable[index].fix(float(data[name][index]))
    pyo.TransformationFactory("core.relax_integer_vars").apply_to(dispatch.model)
    pyo.SolverFactory("appsi_highs").solve(dispatch.model)
    return float(pyo.value(dispatch.model.component("cost")))
