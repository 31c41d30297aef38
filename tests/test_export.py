"""What is exported is what a learner would have lived through: bit by bit, or not at all."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import gymnasium
import h5py
import minari
import numpy as np
import pytest

from experiments import dataset, export, recording
from experiments.cli import main
from experiments.dataset import ROOT, Key
from experiments.recording import CONSTRAINTS, Recorder, record
from mmg_env import CommunityEnv
from mmg_env.system import load_system

POLICIES = ("random", "tuned_rule", "mpc", "oracle")
VERSIONS = {"tiny": 0, "s1_3mg": 1}
FIRST, EPISODES = 3, 2
WHOLE = [(suite, policy) for suite in VERSIONS for policy in POLICIES]
Mmg = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mmg(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Mmg:
    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mmg", "export", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), out, err

    return run


def keys_of(suite: str, *policies: str) -> list[Key]:
    return [Key(suite, policy, "train", FIRST, EPISODES) for policy in policies]


def name_of(suite: str, policy: str) -> str:
    return f"mmg/{suite}/{policy}-v{VERSIONS[suite]}"


def content(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder but the lock, which holds a process number."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != ".lock"]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All policies on two suites."""
    out = tmp_path_factory.mktemp("datasets")
    for suite in VERSIONS:
        export.write(keys_of(suite, *POLICIES), load_system(suite), out, workers=1)
    return out


@pytest.fixture
def load(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], minari.MinariDataset]:
    monkeypatch.setenv(ROOT, str(folder))
    return lambda suite, policy: minari.load_dataset(name_of(suite, policy))


def returns(data: minari.MinariDataset) -> np.ndarray:
    return np.array([episode.rewards.sum() for episode in data])


@pytest.mark.parametrize(("suite", "policy"), WHOLE)
def test_what_minari_reads(load, suite: str, policy: str) -> None:
    data = load(suite, policy)
    env = CommunityEnv(suite)
    steps = env.system.episode_steps
    assert data.observation_space == env.observation_space
    assert data.action_space == env.action_space
    assert (data.total_episodes, data.total_steps) == (EPISODES, EPISODES * steps)
    for episode in data:
        assert episode.observations.shape == (steps + 1, *env.observation_space.shape)
        assert episode.actions.shape == (steps, *env.action_space.shape)
        assert episode.observations.dtype == episode.actions.dtype == np.float32
        assert (np.abs(episode.actions) <= 1.0).all()
        assert episode.rewards.dtype == np.float64
        assert not episode.terminations.any()
        assert episode.truncations.tolist() == [False] * (steps - 1) + [True]
        assert sorted(episode.infos) == sorted(CONSTRAINTS)
        for values in episode.infos.values():
            assert values.shape == (steps + 1,)
            assert values[0] == 0.0


@pytest.mark.parametrize(("suite", "policy"), WHOLE)
def test_actions_played_again_give_the_same_bits(load, suite: str, policy: str) -> None:
    data = load(suite, policy)
    env = data.recover_environment()
    facts = data.storage.get_episode_metadata(range(EPISODES))
    for number, (episode, about) in enumerate(zip(data, facts, strict=True)):
        assert (about["split"], about["index"]) == ("train", FIRST + number)
        observation, info = env.reset(seed=about["seed"], options=about["options"])
        assert info["label"] == (suite, "train", FIRST + number)
        assert np.array_equal(observation, episode.observations[0])
        for t, action in enumerate(episode.actions):
            observation, reward, terminated, truncated, info = env.step(action)
            assert np.array_equal(observation, episode.observations[t + 1])
            assert reward == episode.rewards[t]
            assert (terminated, truncated) == (episode.terminations[t], episode.truncations[t])
            for name in CONSTRAINTS:
                assert info["constraints"][name] == episode.infos[name][t + 1]


@pytest.mark.parametrize("suite", VERSIONS)
def test_nobody_is_paid_more_than_the_oracle(load, suite: str) -> None:
    best = returns(load(suite, "oracle"))
    # Its plan is the best but for the solver's gap, and its actions are rounded.
    slack = 2e-4 * np.abs(best)
    for policy in POLICIES[:-1]:
        assert (returns(load(suite, policy)) <= best + slack).all()


@pytest.mark.parametrize("suite", VERSIONS)
def test_scores_lie_between_random_and_oracle(load, suite: str) -> None:
    scores = {}
    for policy in POLICIES:
        data = load(suite, policy)
        scores[policy] = minari.get_normalized_score(data, returns(data).mean())
    assert scores["random"] == pytest.approx(0.0, abs=1e-12)
    assert scores["oracle"] == pytest.approx(1.0, abs=1e-12)
    assert 0.0 < scores["tuned_rule"] < scores["mpc"] < 1.0


def test_what_is_said_of_a_dataset(load) -> None:
    facts = load("s1_3mg", "mpc").storage.metadata
    assert facts["dataset_id"] == "mmg/s1_3mg/mpc-v1"
    assert facts["algorithm_name"] == "mpc"
    assert facts["author"] == {dataset.AUTHOR}
    assert "code_permalink" not in facts
    origin = export.origin_of(load_system("s1_3mg"))
    wanted = ["policy mpc on mmg/S13mg-v1", "episodes 3 to 4 of the split train"]
    for text in [*wanted, *vars(origin).values()]:
        assert text in facts["description"]


def test_nothing_is_pickled(folder: Path) -> None:
    def check(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            assert item.dtype.kind in "fb"

    for name in content(folder):
        assert Path(name).name in ("main_data.hdf5", "metadata.json")
        if name.endswith(".hdf5"):
            with h5py.File(folder / name) as file:
                file.visititems(check)


def test_the_command(mmg: Mmg, folder: Path, tmp_path: Path, monkeypatch) -> None:
    """Other processes, another folder: the same bytes; and the user's home is left alone."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv(ROOT, "elsewhere")
    monkeypatch.chdir(tmp_path)
    words = ("--suite", "tiny", "--first", FIRST, "--episodes", EPISODES, "--out", "new")
    code, out, _ = mmg(*words, "--workers", 2)
    assert code == 0
    made, kept = content(tmp_path / "new"), content(folder)
    assert made == {name: kept[name] for name in kept if name.startswith("mmg/tiny/")}
    assert os.environ[ROOT] == "elsewhere"
    assert [item.name for item in tmp_path.iterdir()] == ["new"]
    for policy in POLICIES:
        assert name_of("tiny", policy) in out
        assert f"new/{name_of('tiny', policy)}" in out
    namespace: dict[str, minari.MinariDataset] = {}
    exec("\n".join(line.strip() for line in out.splitlines()[-2:]), namespace)
    assert namespace["dataset"].id == name_of("tiny", "random")
    before = content(tmp_path)
    code, out, err = mmg(*words, "--policies", "idle,mpc")
    assert (code, out) == (2, "")
    assert err.startswith("new/mmg/tiny/mpc-v0: the dataset exists already; move it away")
    assert content(tmp_path) == before


def test_references_are_played_where_they_are_not_asked_for(load, tmp_path: Path) -> None:
    means = export.write(keys_of("tiny", "idle"), load_system("tiny"), tmp_path, workers=1)
    data = minari.MinariDataset(tmp_path / "mmg" / "tiny" / "idle-v0" / "data")
    assert data.storage.metadata["ref_min_score"] == means["random"]
    assert data.storage.metadata["ref_max_score"] == means["oracle"]
    assert means["oracle"] == pytest.approx(returns(load("tiny", "oracle")).mean(), abs=1e-12)
    assert [file.name for file in (tmp_path / "mmg" / "tiny").iterdir()] == ["idle-v0"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("place", ["record", "finish"])
def test_what_is_interrupted_leaves_nothing(
    tmp_path: Path, monkeypatch, error: type[BaseException], place: str
) -> None:
    was = getattr(export, place)

    def interrupted(*words: object) -> object:
        if any("mpc" in (word, getattr(word, "policy", "")) for word in words) and (
            place == "finish" or FIRST + 1 in words
        ):
            raise error
        return was(*words)

    monkeypatch.delenv(ROOT, raising=False)
    monkeypatch.setattr(export, place, interrupted)
    with pytest.raises(error):
        export.write(keys_of("tiny", *POLICIES), load_system("tiny"), tmp_path, workers=1)
    assert not list(tmp_path.iterdir())
    assert ROOT not in os.environ


def test_what_a_killed_command_left_is_swept_up(tmp_path: Path) -> None:
    left = tmp_path / export.DRAFTS / name_of("tiny", "idle")
    left.mkdir(parents=True)
    export.write(keys_of("tiny", "idle"), load_system("tiny"), tmp_path, workers=1)
    assert [item.name for item in tmp_path.iterdir()] == ["mmg"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (("--suite", "tini"), 'no shipped suite "tini"; did you mean "tiny"?'),
        (("--policies", "mpc,orakel"), 'no policy "orakel"; did you mean "oracle"?'),
        (("--policies", " ,"), "--policies: no name is given"),
        (("--split", "tets"), 'no split "tets"; did you mean "test"?'),
        (("--split", "test", "--first", "999999"), "episode: 1000000 is not in split test of tiny"),
    ],
)
def test_bad_input(mmg: Mmg, tmp_path: Path, changes: tuple[str, ...], sentence: str) -> None:
    words = ("--suite", "tiny", "--episodes", "2", "--out", tmp_path / "x")
    code, out, err = mmg(*words, *changes)
    assert (code, out) == (2, "")
    assert err.startswith(sentence)
    assert not list(tmp_path.iterdir())


def test_without_minari(mmg: Mmg, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(dataset, "find_spec", lambda name: None if name == "h5py" else name)
    code, out, err = mmg("--suite", "tiny", "--out", tmp_path / "x")
    assert (code, out) == (2, "")
    assert "needs Minari, but h5py cannot be imported" in err
    assert 'pip install "minari[hdf5]"' in err
    assert not list(tmp_path.iterdir())


def test_what_is_recorded_is_what_was_sent() -> None:
    env = CommunityEnv("tiny")
    recorder = Recorder(env)
    recorder.reset(options={"episode": 0})
    for wish in (7.0, -np.inf, 0.1, 1.0 + 1e-9):
        recorder.step(np.array([wish]))
    sent = recorder.recording("train", 0).actions
    assert sent.dtype == np.float32
    assert sent.ravel().tolist() == [1.0, -1.0, float(np.float32(0.1)), 1.0]
    assert np.array_equal(env.trajectory.requests[2], env.actions.decode(sent[2]))


def test_an_oracle_that_costs_more_than_its_plan_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(recording, "REPLAY_TOLERANCE", 0.0)
    with pytest.raises(RuntimeError, match="rounded to float32"):
        record("tiny", "train", 1, "oracle")


def test_the_environment_knows_its_split(load) -> None:
    spec = load("tiny", "mpc").env_spec
    assert spec.id == "mmg/Tiny-v0"
    assert spec.kwargs == {"system": "tiny", "split": "train"}
    assert isinstance(gymnasium.make(spec).unwrapped, CommunityEnv)
