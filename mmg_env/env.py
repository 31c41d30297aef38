"""CommunityEnv: a community of microgrids, hour by hour, as a Gymnasium environment.

Source: docs/model.md section 2 for the order of events.
"""

from os import PathLike
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mmg_env.actions import ActionCodec
from mmg_env.episode import Episode, check_fits
from mmg_env.errors import InputError
from mmg_env.hour import advance, observe
from mmg_env.observation import ObservationCodec
from mmg_env.run import Run, StepInfo
from mmg_env.splits import EpisodeNumbers, nominal_episode, playable_episodes, sample_episode
from mmg_env.system import System, load_system
from mmg_env.trajectory import Trajectory

Array = NDArray[np.float64]

FLOAT32 = np.dtype(np.float32)
WIDE = 1e6  # no observation comes near: scales are of the size of the values


class CommunityEnv(gymnasium.Env[NDArray[np.float32], NDArray[Any]]):
    """One community, one episode at a time.

    Attributes:
        system: the system that is simulated.
        split: the split that episodes come from.
        actions: names, units and ranges of the action's entries; exact encoding.
        observations: names, units and scales of the observation's entries.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  # Gymnasium declares it as an instance variable
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": 1,
    }

    def __init__(
        self,
        system: str | PathLike[str] | System = "community_real",
        split: str = "train",
        render_mode: str | None = None,
        episodes: int | None = None,
    ) -> None:
        """Set up spaces; nothing is sampled before reset.

        Args:
            system: a System, or the name or file of a system or suite.
            split: `train`, `val`, `test` or `shift`.
            render_mode: None, `ansi` or `rgb_array`.
            episodes: seeds pick from the first that many of the split; None for all.

        Raises:
            InputError: there is no such system, split or render mode, or too few episodes.
        """
        self.system = system if isinstance(system, System) else load_system(system)
        self.split = split
        self._episodes = playable_episodes(self.system, split, episodes)
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise InputError(f"render_mode: {render_mode!r} is not one of {', '.join(modes)}")
        self.render_mode = render_mode
        self.actions = ActionCodec(self.system)
        self.observations = ObservationCodec(self.system)
        self._action_shape = (len(self.actions.entries),)
        self.action_space = spaces.Box(-1.0, 1.0, self._action_shape, np.float32)
        self._observed = self.observations.size
        self.observation_space = spaces.Box(-WIDE, WIDE, (self._observed,), np.float32)
        self._scale = -self.system.config.reward_scale
        self._resets = 0
        self._numbers: EpisodeNumbers | None = None
        self._run: Run | None = None
        self._t = 0
        self._last = 0  # steps of the episode in play; none yet

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: picks the episodes of this and the following resets from the split.
            options: `{"episode": i}` plays episode i of the split, `{"episode": "nominal"}` the
                source's nominal day, `{"episode": an Episode}` that one.

        Raises:
            InputError: an option is unknown, or there is no such episode.
        """
        super().reset(seed=seed)
        if seed is not None:
            self._numbers, self._resets = EpisodeNumbers(seed, self._episodes), 0
        episode = self._choose(options or {})
        self._resets += 1
        self._run = run = Run(self.system, self.actions, self.observations, episode)
        self._t = 0
        memory = (run.memory.block, run.memory.sections, run.exogenous_part)
        self._playing = (run, *memory)
        self._last = episode.steps
        observation = np.empty(self._observed, np.float32)
        observe(*memory, 0, observation)
        return observation, StepInfo(run, 0)

    def _choose(self, options: dict[str, Any]) -> Episode:
        """Return the episode that a reset asks for."""
        unknown = set(options) - {"episode"}
        if unknown:
            raise InputError(f"reset options: {sorted(unknown)[0]!r} is unknown; known: 'episode'")
        asked = options.get("episode")
        if isinstance(asked, Episode):
            check_fits(self.system, asked)
            return asked
        if isinstance(asked, str) and asked == "nominal":
            return nominal_episode(self.system)
        if isinstance(asked, (int, np.integer)) and not isinstance(asked, bool):
            return sample_episode(self.system, self.split, int(asked))
        if asked is not None:
            raise InputError(
                f"reset options: episode is {asked!r}; it must be an episode number, 'nominal' or "
                "an Episode"
            )
        if self._numbers is None:
            seed = int(self.np_random.integers(2**31))
            self._numbers = EpisodeNumbers(seed, self._episodes)
        return sample_episode(self.system, self.split, self._numbers[self._resets])

    def step(
        self, action: NDArray[Any]
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Play one step.

        Args:
            action: (entries,) in [-1, 1]; see `actions`. float64 is computed in float64.

        Returns:
            Observation, reward (minus real cost times reward_scale), terminated (never), truncated
            (after the last step) and info (see `StepInfo`).

        Raises:
            InputError: the action has a wrong shape or a number that is not finite, or no episode
                is in play.
        """
        if action.__class__ is not np.ndarray or action.dtype is not FLOAT32:
            action = np.asarray(action, dtype=np.float64)
        t = self._t
        if t >= self._last:
            raise InputError("step: no episode is in play; call reset first")
        if action.shape != self._action_shape:
            self.actions.check(action)
        observation = np.empty(self._observed, FLOAT32)
        run, block, sections, exogenous_part = self._playing
        cost = advance(block, sections, exogenous_part, t, action, observation)
        if cost != cost:
            self.actions.check(np.asarray(action, dtype=np.float64))
        self._t = t = t + 1
        return observation, cost * self._scale, False, t == self._last, StepInfo(run, t)

    @property
    def episode(self) -> Episode:
        """The episode in play; for oracles and tests, never for policies."""
        return self.run.episode

    @property
    def trajectory(self) -> Trajectory:
        """What has happened so far, as a copy while steps are left: those are NaN."""
        run, t = self.run, self._t
        arrays = [run.requests, run.states, run.flows, run.ledger]
        if t < self._last:
            arrays = [array.copy() for array in arrays]
            for array, played in zip(arrays, (t, t + 1, t, t), strict=True):
                array[played:] = np.nan
                array.flags.writeable = False
        requests, states, flows, ledger = arrays
        unknown = np.full(run.episode.steps, np.nan)
        return Trajectory(self.system, run.episode, requests, states, flows, ledger, unknown)

    @property
    def run(self) -> Run:
        """The numbers of the episode in play; for oracles and tests, never for policies."""
        if self._run is None:
            raise InputError("no episode is in play; call reset first")
        return self._run

    def render(self) -> Any:
        """Return the last step as text (`ansi`) or the day so far as a picture (`rgb_array`)."""
        if self.render_mode is None:
            return None
        from mmg_env.render import describe_step, draw_pixels

        if self.render_mode == "ansi":
            return describe_step(self.trajectory, self._t)
        return draw_pixels(self.trajectory, self._t)
