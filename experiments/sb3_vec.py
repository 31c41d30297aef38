"""A batch of communities as stable-baselines3 sees it, and what wraps it in training.

`CommunityVecEnv` is the batch; the wrappers change the reward or the action, in training only:

- `Savings`: the reward is what was saved beside doing nothing in the same episode. What doing
  nothing costs does not depend on the learner, so the best policy stays the best, and most of the
  noise of weather and prices is gone.
- `Multiplier`: takes a price times a constraint from the reward (Lagrangian relaxation).
- `Correction`: the action corrects what a network does.

Source: Mao et al. 2019 (baselines that depend on the inputs); Altman 1999 (constrained MDPs); the
rest is our choice.
"""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from baselines.agent import Network
from mmg_env.actions import Action
from mmg_env.batch import Batch
from mmg_env.info import safety_channel
from mmg_env.vector import CommunityVectorEnv

Array = NDArray[np.float32]
Stepped = Any  # observations, rewards, dones, infos: its types are too wide to be of use


class BatchVecEnv(VecEnv):
    """What is the same however the slots of a batch are counted."""

    env: CommunityVectorEnv

    def _begin(self) -> Array:
        """Begin an episode in every community; return (communities, entries) observations."""
        seed = next((s for s in self._seeds if s is not None), None)
        observations, _ = self.env.reset(seed=seed)
        self._reset_seeds()
        return observations

    def close(self) -> None:
        """End the threads."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute, once per slot."""
        value = None if attr_name == "render_mode" else getattr(self.env, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:  # noqa: ARG002
        """Refuse: slots have no attributes of their own."""
        raise AttributeError(f"{attr_name}: the slots of a batch have no attributes of their own")

    def env_method(self, method_name: str, *args: Any, **kwargs: Any) -> list[Any]:  # noqa: ARG002
        """Refuse: slots have no methods of their own."""
        raise AttributeError(f"{method_name}: the slots of a batch have no methods of their own")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # noqa: ARG002
        """Say that no slot is wrapped."""
        return [False for _ in self._get_indices(indices)]


class CommunityVecEnv(BatchVecEnv):
    """A CommunityVectorEnv in SAME_STEP mode.

    The last step of an episode counts as its end, not as a cut: the value of what is stored is paid
    in it, and an observation says how much of the episode is left.
    """

    def __init__(self, env: CommunityVectorEnv) -> None:
        """Wrap an environment whose mode is SAME_STEP."""
        self.env = env
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self._actions: NDArray[Any] = np.zeros(env.action_space.shape or (), np.float32)
        self._last: tuple[NDArray[np.bool_], Any] = (np.zeros(env.num_envs, bool), {})

    def reset(self) -> Array:
        """Begin an episode in every slot."""
        return self._begin()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Remember the actions."""
        self._actions = actions

    def step_wait(self) -> Stepped:
        """Play one step."""
        observations, rewards, _, truncated, info = self.env.step(self._actions)
        self._last = truncated, info
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for slot in np.flatnonzero(truncated).tolist():
            infos[slot]["terminal_observation"] = info["final_obs"][slot]
        return observations, rewards.astype(np.float32), truncated, infos

    def constraints(self) -> NDArray[np.float64]:
        """Return the safety channel of the last step, (slots, 4), in the order of its names."""
        batch, (ended, info) = self.env.batch, self._last
        channel = safety_channel(batch.flows, batch.system.dt_h)
        if ended.any():  # a new episode stands in the batch; what was played is told beside it
            told = info["final_info"]["constraints"]
            channel = {name: np.where(ended, told[name], now) for name, now in channel.items()}
        return np.column_stack(list(channel.values()))


class Savings(VecEnvWrapper):
    """The reward becomes what was saved beside doing nothing, in the unit of the reward."""

    def __init__(self, venv: CommunityVecEnv) -> None:
        """Play the same episodes a second time, idly."""
        super().__init__(venv)
        self._env = venv.env
        batch = self._env.batch
        self._idle = Batch(batch.system, len(batch), bank=batch.bank)
        idle = batch.actions.encode(Action.idle(batch.system))
        self._nothing = np.tile(idle, (len(batch), 1))
        self._scale = batch.system.config.reward_scale

    def reset(self) -> Array:
        """Begin an episode in every slot."""
        observations = np.asarray(self.venv.reset())
        self._idle.begin(np.arange(self.num_envs), self._env.rows)
        return observations

    def step_wait(self) -> Stepped:
        """Play one step, twice."""
        # First idly: where an episode ends, the next one takes its place in the bank.
        _, costs = self._idle.step(self._nothing)
        observations, rewards, dones, infos = self.venv.step_wait()
        ended = np.flatnonzero(dones)
        if len(ended):
            self._idle.begin(ended, self._env.rows[ended])
        return observations, rewards + (self._scale * costs).astype(np.float32), dones, infos


class Multiplier(VecEnvWrapper):
    """The reward less a price times a constraint.

    Attributes:
        price: currency per unit of the constraint; the trainer raises and lowers it. It is scaled
            as the reward is.
        suffered: sum of the constraint since it was last set to 0.
        episodes: episodes that ended since then.
    """

    def __init__(self, venv: VecEnv, channel: CommunityVecEnv, column: int) -> None:
        """Wrap an environment; column is the constraint's number in the safety channel."""
        super().__init__(venv)
        self._channel = channel
        self._column = column
        self._scale = channel.env.system.config.reward_scale
        self.price = 0.0
        self.suffered = 0.0
        self.episodes = 0

    def reset(self) -> Array:
        """Begin an episode in every slot."""
        return np.asarray(self.venv.reset())

    def step_wait(self) -> Stepped:
        """Play one step."""
        observations, rewards, dones, infos = self.venv.step_wait()
        amounts = self._channel.constraints()[:, self._column]
        self.suffered += float(amounts.sum())
        self.episodes += int(dones.sum())
        tax = (self._scale * self.price * amounts).astype(np.float32)
        return observations, rewards - tax, dones, infos


def multiplier_of(env: VecEnv | None) -> Multiplier | None:
    """Return the multiplier among the wrappers of an environment, if there is one."""
    while isinstance(env, VecEnvWrapper):
        if isinstance(env, Multiplier):
            return env
        env = env.venv
    return None


class Correction(VecEnvWrapper):
    """The action corrects what a network does; what it does is seen beside the observation."""

    def __init__(self, venv: VecEnv, base: Network, scale: float) -> None:
        """Wrap an environment.

        Args:
            venv: what is wrapped.
            base: the network that is corrected.
            scale: largest correction, as a share of half an entry's range.
        """
        space, actions = venv.observation_space, venv.action_space
        assert isinstance(space, spaces.Box)
        assert isinstance(actions, spaces.Box)
        low = np.concatenate([space.low, actions.low])
        high = np.concatenate([space.high, actions.high])
        super().__init__(venv, spaces.Box(low, high, dtype=np.float32), actions)
        self._base = base
        self._scale = scale
        self._asked: Array = np.zeros((self.num_envs, *actions.shape), np.float32)

    def reset(self) -> Array:
        """Begin an episode in every slot."""
        observations: Any = self.venv.reset()
        return self._beside(observations)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Hand on the corrected actions."""
        self.venv.step_async(self._asked + self._scale * actions)

    def step_wait(self) -> Stepped:
        """Play one step."""
        stepped: Stepped = self.venv.step_wait()
        observations, rewards, dones, infos = stepped
        for slot in np.flatnonzero(dones).tolist():
            last = infos[slot]["terminal_observation"]
            infos[slot]["terminal_observation"] = np.concatenate([last, self._base(last)])
        return self._beside(observations), rewards, dones, infos

    def _beside(self, observations: Array) -> Array:
        self._asked = self._base(observations)
        return np.concatenate([observations, self._asked], axis=1)
