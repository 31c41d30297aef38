"""The second half of `mmg perf env`: many environments at once, measured in the same run.

The yardstick is Gymnasium's SyncVectorEnv of environments that do nothing and have the same spaces:
what a user pays for the interface alone.
"""

from statistics import median
from time import perf_counter
from typing import Any, Final

import gymnasium
import numpy as np
import typer
from gymnasium.vector import SyncVectorEnv

from mmg_env.system import load_system
from mmg_env.vector import CommunityVectorEnv

SLOTS: Final = 256
WANTED: Final = 6.0
WANTED_FRESH: Final = 1.5
COPIED_MB: Final = 256


def compare_batches(suite: str, empty: Any, rounds: int, steps: int) -> None:
    """Print how a batch with a bank of episodes compares with doing nothing, and with sampling.

    Args:
        suite: what is simulated.
        empty: returns an environment that does nothing, with the suite's spaces.
        rounds: the median over these counts.
        steps: steps of every slot per round.
    """
    system = load_system(suite)
    bank = CommunityVectorEnv(SLOTS, system, episodes=SLOTS)
    candidates: dict[str, Any] = {
        "bank": bank,
        "no-op, SyncVectorEnv": SyncVectorEnv([empty] * SLOTS),
        "fresh episodes": CommunityVectorEnv(SLOTS, system),
    }
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 1):
        for name, env in candidates.items():
            # Sampling is so slow that one episode of each slot tells enough.
            length = system.episode_steps if name == "fresh episodes" else steps
            found[name].append(env_steps_per_s(env, length, number))
    speed = {name: median(values[1:]) for name, values in found.items()}
    for name, value in speed.items():
        typer.echo(f"{SLOTS} x {suite}, {name:<22}{value:>12,.0f} env-steps/s")
    ratio = speed["bank"] / speed["no-op, SyncVectorEnv"]
    typer.echo(f"bank / no-op            {ratio:.2f}  (wanted: at least {WANTED})")
    fresh = speed["bank"] / speed["fresh episodes"] - 1.0
    typer.echo(f"sampling / stepping     {fresh:.0f}  (wanted: at most {WANTED_FRESH})")
    size = bank.batch.observations.size
    moved = 2 * 4 * size * speed["bank"] / 1e9
    copied = copy_gb_per_s()
    typer.echo(
        f"observation: {size} numbers; reading and writing them moves {moved:.1f} GB/s, "
        f"{moved / copied:.0%} of what the machine copies ({copied:.1f} GB/s)"
    )


def env_steps_per_s(env: gymnasium.vector.VectorEnv[Any, Any, Any], steps: int, seed: int) -> float:
    """Return the speed of a vector environment, resets between episodes included."""
    rng = np.random.default_rng(0)
    shape = env.action_space.shape or ()
    actions = [rng.uniform(-1.0, 1.0, shape).astype(np.float32) for _ in range(8)]
    env.reset(seed=seed)
    begin = perf_counter()
    # One more than the steps of an episode: the step after its end begins the next.
    for t in range(steps + 1):
        env.step(actions[t & 7])
    return steps * env.num_envs / (perf_counter() - begin)


def copy_gb_per_s() -> float:
    """Return how fast the machine copies memory, bytes read and bytes written."""
    source = np.ones(COPIED_MB * 2**20 // 8)
    target = np.empty_like(source)
    times = []
    for _ in range(6):
        begin = perf_counter()
        target[:] = source
        times.append(perf_counter() - begin)
    return 2.0 * source.nbytes / min(times[1:]) / 1e9
