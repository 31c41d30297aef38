"""The vector environment: Gymnasium's conventions, and equality with separate environments."""

from functools import cache

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from mmg_env import CommunityEnv, CommunityVectorEnv, InputError, load_system, sample_episode
from mmg_env.config_file import suite_names

MODES = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)


@cache
def shipped(name):
    return load_system(name)


def same(left, right):
    """Return whether two infos or parts of them say the same, bit by bit."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if left.dtype == object:
        return all(
            a.tobytes() == b.tobytes() if isinstance(a, np.ndarray) else a == b
            for a, b in zip(left, right, strict=True)
        )
    return left.dtype == right.dtype and left.tobytes() == right.tobytes()


def expect_same_steps(env, other, steps, seed=0):
    rng = np.random.default_rng(seed)
    first, again = env.reset(seed=seed), other.reset(seed=seed)
    assert first[0].tobytes() == again[0].tobytes()
    assert same(first[1], again[1])
    for t in range(steps):
        action = rng.uniform(-1.0, 1.0, env.action_space.shape).astype(np.float32)
        left, right = env.step(action), other.step(action)
        for a, b in zip(left[:4], right[:4], strict=True):
            assert a.dtype == b.dtype
            assert a.tobytes() == b.tobytes(), t
        assert same(left[4], right[4]), t


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("split", ["train", "val"])
def test_it_is_bit_equal_to_separate_environments_infos_included(mode, split):
    system = shipped("tiny")
    single = [lambda: CommunityEnv(system, split)] * 3
    expect_same_steps(
        CommunityVectorEnv(3, system, split, autoreset_mode=mode),
        SyncVectorEnv(single, autoreset_mode=mode),
        60,
    )


@pytest.mark.parametrize("name", [n for n in suite_names() if n not in ("large_50", "tiny")])
def test_every_suite_is_bit_equal_to_separate_environments(name):
    system = shipped(name)
    rng = np.random.default_rng(1)
    env = CommunityVectorEnv(2, system, "val")
    singles = [CommunityEnv(system, "val") for _ in range(2)]
    shown, _ = env.reset(seed=4)
    for k, single in enumerate(singles):
        assert single.reset(seed=4 + k)[0].tobytes() == shown[k].tobytes()
    for _ in range(30 if system.episode_steps > 30 else system.episode_steps):
        action = rng.uniform(-1.0, 1.0, env.action_space.shape)
        shown, rewards, _, truncated, info = env.step(action)
        for k, single in enumerate(singles):
            observation, reward, _, ended, alone = single.step(action[k])
            assert observation.tobytes() == shown[k].tobytes()
            assert reward == rewards[k]
            assert ended == truncated[k]
            for name_ in ("gas", "grid_import", "wear"):
                assert (info["ledger"][name_][k] == alone["ledger"][name_]).all()
            for channel, amount in alone["constraints"].items():
                assert info["constraints"][channel][k] == amount
            assert info["public"][k] == alone["public"]


@pytest.mark.parametrize("slots", [1, 2, 9])
def test_a_slot_does_not_depend_on_how_many_there_are(slots):
    system = shipped("s1_3mg")
    single = [lambda: CommunityEnv(system, "val")] * slots
    expect_same_steps(CommunityVectorEnv(slots, system, "val"), SyncVectorEnv(single), 27, seed=7)


def test_a_bank_holds_the_first_episodes_of_a_split_and_changes_nothing_else():
    system = shipped("tiny")
    env = CommunityVectorEnv(4, system, "train", episodes=3)
    single = [lambda: CommunityEnv(system, "train", episodes=3)] * 4
    expect_same_steps(env, SyncVectorEnv(single), 60)
    labels = {env.reset()[1]["label"][k] for k in range(4) for _ in range(5)}
    assert labels == {("tiny", "train", index) for index in range(3)}


def test_make_vec_returns_it():
    env = gymnasium.make_vec("mmg/Community-v0", num_envs=5, system="tiny", split="val")
    assert type(env.unwrapped) is CommunityVectorEnv
    assert env.num_envs == 5
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    suite = gymnasium.make_vec("mmg/Tiny-v0", 2, autoreset_mode="SAME_STEP")
    assert suite.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert suite.unwrapped.system.name == "tiny"


def test_it_lives_in_gymnasiums_wrappers():
    env = gymnasium.make_vec("mmg/Tiny-v0", 3, split="val")
    env = gymnasium.wrappers.vector.RecordEpisodeStatistics(env)
    env.reset(seed=0)
    total = np.zeros(3)
    for _ in range(24):
        *_, info = (stepped := env.step(env.action_space.sample()))
        total += stepped[1]
    assert info["episode"]["r"] == pytest.approx(total)


def test_threads_change_nothing():
    system = shipped("s1_3mg")
    threaded = CommunityVectorEnv(7, system, "val", threads=3)
    expect_same_steps(CommunityVectorEnv(7, system, "val"), threaded, 26)
    threaded.close()


def test_episodes_can_be_asked_for():
    system = shipped("tiny")
    env = CommunityVectorEnv(3, system, "val")
    own = sample_episode(system, "test", 9)
    _, info = env.reset(options={"episode": [5, own, 6]})
    assert list(info["label"]) == [("tiny", "val", 5), ("tiny", "test", 9), ("tiny", "val", 6)]
    _, info = env.reset(options={"episode": 4})
    assert set(info["label"]) == {("tiny", "val", 4)}
    assert env.episode(1).label == ("tiny", "val", 4)


def test_seeds_may_be_given_one_by_one():
    env = CommunityVectorEnv(3, shipped("tiny"), "val")
    first = env.reset(seed=3)[1]["label"]
    following = env.reset()[1]["label"]
    mixed = env.reset(seed=[4, None, 3])[1]["label"]
    assert mixed[0] == first[1]
    assert mixed[2] == first[0]
    assert list(env.reset(seed=3)[1]["label"]) == list(first)
    assert list(env.reset()[1]["label"]) == list(following)


def test_without_a_seed_two_envs_go_their_own_ways():
    system = shipped("s1_3mg")
    labels = [CommunityVectorEnv(2, system).reset()[1]["label"] for _ in range(2)]
    assert len({*labels[0], *labels[1]}) == 4


def test_nothing_that_is_returned_changes_later():
    env = CommunityVectorEnv(3, shipped("tiny"), "val", autoreset_mode="SAME_STEP")
    env.reset(seed=0)
    kept = []
    for _ in range(50):
        *arrays, info = env.step(env.action_space.sample())
        plain = info.copy()
        kept.append((arrays, [a.copy() for a in arrays], plain, {**plain}))
    for arrays, copies, *_ in kept:
        assert all(a.tobytes() == b.tobytes() for a, b in zip(arrays, copies, strict=True))
    ends = [plain for *_, plain, _ in kept if "final_info" in plain]
    assert len(ends) == 2
    assert list(ends[0]["final_info"]["label"]) != list(ends[1]["final_info"]["label"])
    assert set(ends[0]["final_info"]["public"][0].history.values.shape) == {24, 18}


def test_an_info_that_was_not_read_in_time_says_so():
    env = CommunityVectorEnv(2, shipped("tiny"), "val")
    env.reset(seed=0)
    *_, info = env.step(env.action_space.sample())
    gas = info["ledger"]["gas"]
    env.step(env.action_space.sample())
    assert info["ledger"]["gas"] is gas
    with pytest.raises(InputError, match="before the next step"):
        info["flows"]


def test_a_step_that_begins_an_episode_pays_nothing_and_ignores_its_action():
    env = CommunityVectorEnv(2, shipped("tiny"), "val")
    env.reset(seed=0)
    for _ in range(24):
        _, _, _, truncated, _ = env.step(env.action_space.sample())
    assert truncated.all()
    _, rewards, _, truncated, info = env.step(env.action_space.sample())
    assert not truncated.any()
    assert (rewards == 0.0).all()
    assert "ledger" not in info


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"num_envs": 0}, "num_envs: 0 is not a positive"),
        ({"threads": -1}, "threads: -1 is not a positive"),
        ({"autoreset_mode": "DISABLED"}, "'DISABLED' is not NEXT_STEP or SAME_STEP"),
        ({"split": "tests"}, "split: 'tests' is not one of"),
        ({"split": "val", "episodes": 10_000}, "episodes: 10000 is not in 1.."),
    ],
)
def test_wrong_arguments_are_refused(fields, sentence):
    with pytest.raises(InputError, match=sentence):
        CommunityVectorEnv(**{"num_envs": 2, "system": shipped("tiny"), **fields})


@pytest.mark.parametrize("split", ["val", "train"])
@pytest.mark.parametrize("absent", [-1, -2, 2**53])
def test_an_episode_that_a_split_does_not_have_is_refused_as_elsewhere(split, absent):
    system = shipped("tiny")
    sentence = f"episode: {absent} is not in split {split} of tiny; allowed: 0"
    for env in (CommunityVectorEnv(2, system, split), CommunityEnv(system, split)):
        env.reset(options={"episode": sample_episode(system, "test", 0)})  # fills the slots' rows
        with pytest.raises(InputError, match=sentence):
            env.reset(options={"episode": absent})


def test_wrong_calls_are_refused():
    env = CommunityVectorEnv(2, shipped("tiny"), "val")
    with pytest.raises(InputError, match="call reset first"):
        env.step(env.action_space.sample())
    with pytest.raises(InputError, match="2 slots"):
        env.reset(seed=[1])
    with pytest.raises(InputError, match="there are 2 slots"):
        env.reset(options={"episode": [1, 2, 3]})
    with pytest.raises(InputError, match="'episodes' is unknown"):
        env.reset(options={"episodes": 1})
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"must be \(2, 1\)"):
        env.step(np.zeros(2))
