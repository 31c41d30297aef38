"""The batch: law 5 of docs/model.md, section 10: one hour is one hour, however many play it."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from strategies import make_case, make_episode, make_system

from mmg_env import CommunityEnv, InputError
from mmg_env.batch import Batch

HERE = Path(__file__).parent


def lay_out(system, seeds, threads=1):
    """Return a batch that begins random episodes, and these."""
    batch = Batch(system, len(seeds), threads=threads)
    episodes = [make_episode(system, seed) for seed in seeds]
    rows = [batch.bank.given(slot, episode) for slot, episode in enumerate(episodes)]
    batch.begin(np.arange(len(seeds)), np.array(rows))
    return batch, episodes


def draw(batch, seed, steps, spread=1.2):
    shape = (steps, len(batch), len(batch.actions.entries))
    return np.random.default_rng([seed, 5]).uniform(-spread, spread, shape)


def play_single(system, episode, actions):
    """Return the env after an episode, its observations and rewards."""
    env = CommunityEnv(system)
    observations = [env.reset(options={"episode": episode})[0]]
    rewards = []
    for action in actions:
        observation, reward, *_ = env.step(action)
        observations.append(observation)
        rewards.append(reward)
    return env, observations, rewards


def expect_equal(batch, slot, t, single, costs=None):
    """Assert that a slot holds what a single environment recorded up to step t."""
    env, _, rewards = single
    run = env.trajectory
    assert batch.states[slot].tobytes() == run.states[t].tobytes()
    if costs is not None:
        assert batch.flows[slot].tobytes() == run.flows[t - 1].tobytes()
        assert batch.ledger[slot].tobytes() == run.ledger[t - 1].tobytes()
        assert -costs[slot] * env.system.config.reward_scale == rewards[t - 1]


@pytest.mark.parametrize("seed", range(30))
def test_every_slot_is_bit_equal_to_an_environment_of_its_own(seed):
    system = make_system(seed)
    batch, episodes = lay_out(system, [seed, seed + 1, seed + 2])
    actions = draw(batch, seed, system.episode_steps)
    singles = [play_single(system, e, actions[:, k]) for k, e in enumerate(episodes)]
    shown = batch.observe()
    for t in range(system.episode_steps):
        for k, single in enumerate(singles):
            assert shown[k].tobytes() == single[1][t].tobytes()
        shown, costs = batch.step(actions[t])
        for k, single in enumerate(singles):
            expect_equal(batch, k, t + 1, single, costs)
            assert shown[k].tobytes() == single[1][t + 1].tobytes()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("slots", [1, 7, 256])
def test_the_number_of_slots_and_threads_changes_nothing(slots, threads):
    system = make_system(10, days=2)
    batch, episodes = lay_out(system, [k % 5 for k in range(slots)], threads)
    actions = draw(batch, 1, system.episode_steps)
    chosen = sorted({0, slots // 2, slots - 1})
    singles = {k: play_single(system, episodes[k], actions[:, k]) for k in chosen}
    for t in range(system.episode_steps):
        shown, costs = batch.step(actions[t])
        for k, single in singles.items():
            expect_equal(batch, k, t + 1, single, costs)
            assert shown[k].tobytes() == single[1][t + 1].tobytes()
    batch.close()


def test_slots_may_stand_at_different_steps():
    system = make_system(10, days=2)
    batch, episodes = lay_out(system, [3, 4])
    steps, late = system.episode_steps, 5
    actions = draw(batch, 3, steps + late)
    singles = [
        play_single(system, episodes[0], actions[:steps, 0]),
        play_single(system, episodes[1], actions[late:, 1]),
    ]
    for t in range(steps + late):
        if t == late:
            batch.begin(np.array([1]), np.array([1]))
        _, costs = batch.step(actions[t])
        if t < steps:
            expect_equal(batch, 0, t + 1, singles[0], costs)
        if t >= late:
            expect_equal(batch, 1, t - late + 1, singles[1], costs)


def test_a_slot_whose_episode_is_over_stays_as_it_is():
    system = make_system(7, days=1)
    batch, _ = lay_out(system, [1])
    for action in draw(batch, 1, system.episode_steps):
        shown, _ = batch.step(action)
    held = batch.states.copy(), batch.flows.copy(), batch.ledger.copy()
    again, costs = batch.step(action)
    assert again.tobytes() == shown.tobytes()
    assert costs[0] == 0.0
    for before, after in zip(held, (batch.states, batch.flows, batch.ledger), strict=True):
        assert before.tobytes() == after.tobytes()


def test_an_action_that_is_not_finite_plays_nothing_in_any_slot():
    system = make_system(7, days=1)
    batch, _ = lay_out(system, [1, 2])
    action = draw(batch, 1, 1)[0]
    action[1, 0] = np.nan
    before = batch.states.copy()
    with pytest.raises(InputError, match="finite"):
        batch.step(action)
    assert batch.states.tobytes() == before.tobytes()
    assert (batch.t == 0).all()


def test_what_a_batch_holds_cannot_be_written_from_outside():
    batch, _ = lay_out(make_system(7, days=1), [1])
    for array in (batch.states, batch.flows, batch.ledger):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def fingerprint(seeds):
    """Return a digest of everything that a batch returns along some episodes."""
    digest = hashlib.sha256()
    for seed in seeds:
        system, _, _ = make_case(seed)
        for dtype in (np.float64, np.float32):
            batch, _ = lay_out(system, [seed, seed + 1])
            digest.update(batch.observe().tobytes())
            for action in draw(batch, seed, system.episode_steps).astype(dtype):
                for array in batch.step(action):
                    digest.update(array.tobytes())
    return digest.hexdigest()


def test_a_batch_in_plain_python_is_bit_equal_to_compiled_code():
    seeds = [1, 8]
    code = f"from test_batch import fingerprint; print(fingerprint({seeds}))"
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    plain = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert plain.stdout.strip() == fingerprint(seeds)
