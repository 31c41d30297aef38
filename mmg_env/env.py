"""CommunityEnv: a community of microgrids, hour by hour, as a Gymnasium environment.

Source: docs/model.md section 2 for the order of events.
"""

from collections.abc import Iterator
from os import PathLike
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mmg_env.actions import ActionCodec
from mmg_env.episode import Episode, nominal_episode, sample_episode, split_size
from mmg_env.errors import InputError
from mmg_env.hour import EpisodeMemory, M, advance, observe
from mmg_env.layout import F, L
from mmg_env.observation import ObservationCodec
from mmg_env.public import PublicInfo
from mmg_env.state import State
from mmg_env.system import System, load_system
from mmg_env.trajectory import Trajectory

Array = NDArray[np.float64]

FLOAT32 = np.dtype(np.float32)
WIDE = 1e6  # no observation comes near: scales are of the size of the values
UNBOUNDED_INDICES = 2**53  # `train` has as many episodes as a float can count


class Run:
    """One episode in play: its inputs, its memory, and read-only views of what happened."""

    def __init__(
        self,
        system: System,
        actions: ActionCodec,
        observations: ObservationCodec,
        episode: Episode,
    ) -> None:
        """Lay out the episode."""
        self.system = system
        self.episode = episode
        self.memory = EpisodeMemory(system, actions, observations, episode)
        self.exogenous_part = observations.exogenous_part(episode)
        steps, count = episode.steps, len(system.participants)
        self.requests = self._read_only(M.requests)
        self.states = self._read_only(M.states)
        self.flows = self._read_only(M.flows).reshape(steps, count, len(F))
        self.ledger = self._read_only(M.ledger).reshape(steps, count, len(L))

    def _read_only(self, section: M) -> Array:
        view = self.memory.view(section)
        view.flags.writeable = False
        return view

    def public(self, t: int) -> PublicInfo:
        """Return what a policy may know at the start of step t."""
        episode = self.episode
        state = State(self.system, self.states[t])
        return PublicInfo(self.system, t, state, episode.forecast(t), lambda: episode.until(t))


class StepInfo(dict[str, Any]):
    """The `info` of one step, computed where it is looked at.

    Keys: `public` (PublicInfo at the start of the next step), `label` (suite, split, index), and,
    after a step, `ledger` (term -> (participants,) currency), `flows` (name -> (participants,)),
    `projection` (component -> (participants,) distance moved), `constraints` (the safety channel).
    """

    __slots__ = ("_run", "_t")

    def __init__(self, run: Run, t: int) -> None:
        """Remember where to look; t is the step about to begin."""
        self._run = run
        self._t = t

    def __missing__(self, key: str) -> Any:
        """Compute one of the known keys."""
        value = self._compute(key)
        self[key] = value
        return value

    def _compute(self, key: str) -> Any:
        if key == "public":
            return self._run.public(self._t)
        if key == "label":
            return self._run.episode.label
        if self._t > 0:
            if key == "ledger":
                return dict(zip(L.names(), self._run.ledger[self._t - 1].T, strict=True))
            flows = dict(zip(F.names(), self._run.flows[self._t - 1].T, strict=True))
            if key == "flows":
                return flows
            if key == "projection":
                return {n: v for n, v in flows.items() if n.startswith("projected_")}
            if key == "constraints":
                return self._constraints(flows)
        raise KeyError(key)

    def _constraints(self, flows: dict[str, Array]) -> dict[str, float]:
        dt_h = self._run.system.dt_h
        moved = [v.sum() for n, v in flows.items() if n.startswith("projected_")]
        return {
            "unserved_kwh": float(flows["unserved_kw"].sum()) * dt_h,
            "unserved_heat_kwh": float(flows["unserved_heat_kw"].sum()) * dt_h,
            "spill_kwh": float(flows["spill_kw"].sum()) * dt_h,
            "projection_kw": float(sum(moved)),
        }

    def _known(self) -> tuple[str, ...]:
        after_step = ("ledger", "flows", "projection", "constraints") if self._t > 0 else ()
        return ("public", "label", *after_step)

    def _fill(self) -> None:
        for key in self._known():
            if not super().__contains__(key):
                self[key] = self._compute(key)

    def __contains__(self, key: object) -> bool:
        """Return whether a key is there or can be computed."""
        return super().__contains__(key) or key in self._known()

    def __iter__(self) -> Iterator[str]:
        """Iterate over all keys."""
        self._fill()
        return super().__iter__()

    def __len__(self) -> int:
        """Return the number of keys."""
        self._fill()
        return super().__len__()

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or default where there is none."""
        return self[key] if key in self else default  # noqa: SIM401  # computes

    def keys(self) -> Any:
        """Return all keys."""
        self._fill()
        return super().keys()

    def values(self) -> Any:
        """Return all values."""
        self._fill()
        return super().values()

    def items(self) -> Any:
        """Return all pairs."""
        self._fill()
        return super().items()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a plain dict without `public`, which holds the system and the past."""
        self._fill()
        return (dict, ({k: v for k, v in super().items() if k != "public"},))


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
    ) -> None:
        """Set up spaces; nothing is sampled before reset.

        Args:
            system: a System, or the name or file of a system or suite.
            split: `train`, `val`, `test` or `shift`.
            render_mode: None, `ansi` or `rgb_array`.

        Raises:
            InputError: there is no such system, split or render mode.
        """
        self.system = system if isinstance(system, System) else load_system(system)
        self.split = split
        self._size = split_size(self.system, split)
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
        self._seed: int | None = None
        self._run: Run | None = None
        self._t = 0

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
            self._seed, self._resets = seed, 0
        episode = self._choose(options or {})
        self._run = Run(self.system, self.actions, self.observations, episode)
        self._t = 0
        memory = self._run.memory
        self._memory = (memory.block, memory.sections, self._run.exogenous_part)
        self._last = episode.steps
        observation = np.empty(self._observed, np.float32)
        observe(*self._memory, 0, observation)
        return observation, StepInfo(self._run, 0)

    def _choose(self, options: dict[str, Any]) -> Episode:
        """Return the episode that a reset asks for."""
        unknown = set(options) - {"episode"}
        if unknown:
            raise InputError(f"reset options: {sorted(unknown)[0]!r} is unknown; known: 'episode'")
        asked = options.get("episode")
        if isinstance(asked, Episode):
            return asked
        if asked == "nominal":
            return nominal_episode(self.system)
        if asked is not None:
            return sample_episode(self.system, self.split, int(asked))
        if self._seed is None:
            self._seed = int(self.np_random.integers(2**31))
        draw = np.random.SeedSequence([self._seed, self._resets]).generate_state(1, np.uint64)[0]
        self._resets += 1
        return sample_episode(
            self.system, self.split, int(draw) % (self._size or UNBOUNDED_INDICES)
        )

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
        run = self._run
        if run is None or t >= self._last:
            raise InputError("step: no episode is in play; call reset first")
        if action.shape != self._action_shape:
            self.actions.check(action)
        observation = np.empty(self._observed, np.float32)
        block, sections, exogenous_part = self._memory
        cost = advance(block, sections, exogenous_part, t, action, observation)
        if cost != cost:
            self.actions.check(np.asarray(action, dtype=np.float64))
        self._t = t = t + 1
        return observation, cost * self._scale, False, t == self._last, StepInfo(run, t)

    @property
    def episode(self) -> Episode:
        """The episode in play; for oracles and tests, never for policies."""
        return self._in_play().episode

    @property
    def trajectory(self) -> Trajectory:
        """What has happened so far; steps not yet played are zero."""
        run = self._in_play()
        unknown = np.full(run.episode.steps, np.nan)
        return Trajectory(
            self.system, run.episode, run.requests, run.states, run.flows, run.ledger, unknown
        )

    def _in_play(self) -> Run:
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
