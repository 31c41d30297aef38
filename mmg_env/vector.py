"""CommunityVectorEnv: many communities of one system as one Gymnasium vector environment.

Slot k after `reset(seed=s)` is bit-equal to a CommunityEnv after `reset(seed=s + k)`, whatever the
number of slots: both run the same compiled code on the same episodes.

Source: our choice; the conventions are Gymnasium's.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from mmg_env.batch import Batch
from mmg_env.env import WIDE
from mmg_env.episode import Episode, check_fits
from mmg_env.errors import InputError
from mmg_env.splits import EpisodeNumbers, nominal_episode, playable_episodes, split_size
from mmg_env.system import System, load_system
from mmg_env.vector_info import Moment, VectorInfo

Array = NDArray[np.float64]
Observations = NDArray[np.float32]
Flags = NDArray[np.bool_]
Stepped = tuple[Observations, Array, Flags, Flags, dict[str, Any]]


class CommunityVectorEnv(VectorEnv[Observations, NDArray[Any], NDArray[Any]]):
    """Communities of one system side by side, an episode each.

    Attributes:
        system: the system that is simulated.
        split: the split that episodes come from.
        batch: what is simulated; its names for the entries of actions and observations.
    """

    def __init__(
        self,
        num_envs: int = 1,
        system: str | PathLike[str] | System = "community_real",
        split: str = "train",
        episodes: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        threads: int = 1,
    ) -> None:
        """Set up spaces; nothing is sampled before reset.

        Episodes of a split of limited size, or of the first `episodes` of it, are sampled once and
        kept: a bank.

        Args:
            num_envs: number of slots.
            system: a System, or the name or file of a system or suite.
            split: `train`, `val`, `test` or `shift`.
            episodes: seeds pick from the first that many of the split; None for all.
            autoreset_mode: NEXT_STEP (a finished slot begins its next episode in the step after,
                whose action is ignored) or SAME_STEP (at once; the last observation and info of
                the episode are `final_obs` and `final_info`).
            threads: threads that share the slots; more than one pays for large batches only.

        Raises:
            InputError: there is no such system, split or mode, or a number is out of range.
        """
        self.system = system if isinstance(system, System) else load_system(system)
        self.split = split
        self.num_envs = _positive("num_envs", num_envs)
        self.metadata = {"render_modes": [], "autoreset_mode": _mode(autoreset_mode)}
        self._same_step = self.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
        self._episodes = playable_episodes(self.system, split, episodes)
        kept = self._episodes if episodes or split_size(self.system, split) else 0
        self.batch = Batch(self.system, num_envs, kept, _positive("threads", threads))
        entries = (len(self.batch.actions.entries),)
        self.single_action_space = spaces.Box(-1.0, 1.0, entries, np.float32)
        shown = (self.batch.observations.size,)
        self.single_observation_space = spaces.Box(-WIDE, WIDE, shown, np.float32)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._scale = -self.system.config.reward_scale
        self._numbers: list[EpisodeNumbers] = []
        self._resets = np.zeros(num_envs, np.int64)
        self._row = np.zeros(num_envs, np.int64)
        self._over = np.zeros(num_envs, np.bool_)
        self._steps = 0  # of the batch: an info holds for one of them

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin an episode in every slot.

        Args:
            seed: slot k takes seed + k, or the k-th of a sequence.
            options: as CommunityEnv takes them; `episode` may also be a sequence, one per slot.

        Raises:
            InputError: an option is unknown, or there is no such episode.
        """
        self._take_seeds(seed)
        asked = self._asked(options or {})
        self._begin(np.arange(self.num_envs), asked)
        self._over = np.zeros(self.num_envs, np.bool_)
        self._steps += 1
        return self.batch.observe(), self._info(np.zeros(self.num_envs, np.bool_))

    def step(self, actions: NDArray[Any]) -> Stepped:
        """Play one step of every slot.

        Args:
            actions: (num_envs, entries) in [-1, 1]. float64 is computed in float64.

        Returns:
            Observations, rewards, terminated (never), truncated (after an episode's last step), and
            an info of arrays over slots, each beside a mask `_key`, as Gymnasium's vector
            environments give them. It speaks of this moment: read or copy it before the next step.

        Raises:
            InputError: a wrong shape or a number that is not finite; nothing was played.
        """
        if not self._numbers:
            raise InputError("step: no episode is in play; call reset first")
        actions = self._checked(actions)
        beginning = self._over
        observations, costs = self.batch.step(actions)
        rewards = costs * self._scale
        self._steps += 1
        if beginning.any():
            rewards[beginning] = 0.0
            self._begin(np.flatnonzero(beginning))
            observations = self.batch.observe()
        truncated = ~beginning & (self.batch.t == self.system.episode_steps)
        info = self._info(~beginning)
        if truncated.any() and self._same_step:
            ending = self._finish(truncated, observations)
            observations = self.batch.observe()
            info = self._info(~truncated)
            info.update(ending)
        elif not self._same_step:
            self._over = truncated
        terminated = np.zeros(self.num_envs, np.bool_)
        return observations, rewards, terminated, truncated.copy(), info

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002 - Gymnasium's signature
        """End the threads."""
        self.batch.close()

    @property
    def rows(self) -> NDArray[np.int64]:
        """Which row of the bank each slot plays, (slots,)."""
        return self._row.copy()

    def episode(self, slot: int) -> Episode:
        """Return the episode that a slot plays; for oracles and tests, never for policies."""
        return self.batch.bank.episode(int(self._row[slot]))

    def _take_seeds(self, seed: int | Sequence[int | None] | None) -> None:
        """Begin anew the sequences of episodes of the slots that are given a seed."""
        if not self._numbers:
            super().reset(seed=seed if isinstance(seed, int) else None)
            drawn = self.np_random.integers(2**31, size=self.num_envs)
            self._numbers = [EpisodeNumbers(int(s), self._episodes) for s in drawn]
        if seed is None:
            return
        seeds = [seed + k for k in range(self.num_envs)] if isinstance(seed, int) else list(seed)
        if len(seeds) != self.num_envs:
            raise InputError(f"seed: {len(seeds)} numbers; there are {self.num_envs} slots")
        for slot, number in enumerate(seeds):
            if number is not None:
                self._numbers[slot] = EpisodeNumbers(number, self._episodes)
                self._resets[slot] = 0

    def _asked(self, options: Mapping[str, Any]) -> Sequence[Any]:
        """Return what each slot is asked to play; None where its seed decides."""
        unknown = set(options) - {"episode"}
        if unknown:
            raise InputError(f"reset options: {sorted(unknown)[0]!r} is unknown; known: 'episode'")
        asked = options.get("episode")
        if isinstance(asked, str) or not isinstance(asked, Sequence | np.ndarray):
            return [asked] * self.num_envs
        if len(asked) != self.num_envs:
            raise InputError(
                f"reset options: episode holds {len(asked)}; there are {self.num_envs} slots"
            )
        return list(asked)

    def _begin(self, slots: NDArray[np.int64], asked: Sequence[Any] | None = None) -> None:
        """Begin the next episode of some slots."""
        rows = [self._choose(int(k), None if asked is None else asked[k]) for k in slots]
        self._row[slots] = rows
        self._resets[slots] += 1
        self.batch.begin(slots, self._row[slots])

    def _choose(self, slot: int, asked: Any) -> int:
        """Return the bank's row of the episode that a slot is to play."""
        bank = self.batch.bank
        if asked is None:
            return bank.numbered(slot, self.split, self._numbers[slot][int(self._resets[slot])])
        if isinstance(asked, Episode):
            check_fits(self.system, asked)
            return bank.given(slot, asked)
        if isinstance(asked, str) and asked == "nominal":
            return bank.given(slot, nominal_episode(self.system))
        if isinstance(asked, int | np.integer) and not isinstance(asked, bool):
            return bank.numbered(slot, self.split, int(asked))
        raise InputError(
            f"reset options: episode is {asked!r}; it must be an episode number, 'nominal' or an "
            "Episode"
        )

    def _checked(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Return actions as the compiled code takes them."""
        actions = np.asarray(actions)
        if actions.dtype not in (np.float32, np.float64):
            actions = actions.astype(np.float64)
        if actions.shape != self.action_space.shape:
            raise InputError(
                f"action: shape {actions.shape}; it must be {self.action_space.shape}, a row per "
                "slot and a number per entry"
            )
        return np.ascontiguousarray(actions)

    def _finish(self, ended: Flags, observations: Observations) -> dict[str, Any]:
        """Return what the episodes of some slots end with, and begin the next ones."""
        final = np.full(self.num_envs, None, dtype=object)
        for slot in np.flatnonzero(ended):
            final[slot] = observations[slot]
        last = VectorInfo(self._now().kept(), ended, ended)
        self._begin(np.flatnonzero(ended))
        return {
            "final_obs": final,
            "_final_obs": ended.copy(),
            "final_info": last,
            "_final_info": ended.copy(),
        }

    def _info(self, played: Flags) -> VectorInfo:
        return VectorInfo(self._now(), np.ones(self.num_envs, np.bool_), played)

    def _now(self) -> Moment:
        batch, made = self.batch, self._steps
        return Moment(
            self.system,
            lambda: [self.episode(slot) for slot in range(self.num_envs)],
            batch.t,
            batch.states,
            batch.flows,
            batch.ledger,
            lambda: self._steps == made,
        )


def _positive(name: str, number: int) -> int:
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
        raise InputError(f"{name}: {number!r} is not a positive whole number")
    return int(number)


def _mode(mode: AutoresetMode | str) -> AutoresetMode:
    """Return a mode by itself, its name or its value."""
    for known in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        if mode in (known, known.name, known.value):
            return known
    raise InputError(f"autoreset_mode: {mode!r} is not NEXT_STEP or SAME_STEP")
