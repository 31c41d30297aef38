"""Wrappers that take the day's commitments off a learner's hands, wholly or in part.

The wishes of the hour are many small decisions; what is committed for a whole day is one large one.
`CommitmentByPolicy` leaves the second to a planner, `CommitmentByPeriod` asks for one number per
period of the tariff. Both wrap a CommunityEnv whose action is still the full one.

Source: docs/model.md section 2; the periods of a dynamic tariff are our choice.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from mmg_env.actions import ActionCodec, Entry
from mmg_env.config import DynamicTariff, FeedInTariff, FlatTariff
from mmg_env.env import CommunityEnv
from mmg_env.errors import InputError
from mmg_env.kernel import N_ACTION
from mmg_env.rollout import Policy
from mmg_env.system import System

Array = NDArray[np.float64]
Observation = NDArray[np.float32]

BLOCK_H = 6.0  # a period of the day where the tariff itself has none


class CommitmentByPolicy(
    gymnasium.Wrapper[Observation, NDArray[Any], Observation, NDArray[Any]], RecordConstructorArgs
):
    """Let a policy take the day's commitments; the action holds the wishes of the hour only.

    The policy is asked as each day begins and nowhere else, with the observation and info of the
    wrapped environment. It answers with a full action, of which rent, pool schedule, grid
    nomination and the day's quote are used.
    """

    def __init__(self, env: gymnasium.Env[Observation, NDArray[Any]], policy: Policy) -> None:
        """Wrap an environment.

        Args:
            env: a CommunityEnv, possibly wrapped, whose action is the full one.
            policy: what commits, such as a planner of `baselines`.

        Raises:
            InputError: env is no CommunityEnv underneath, or its action is no longer the full one.
        """
        # The policy is recorded as it is: a planner's solver cannot be copied.
        RecordConstructorArgs.__init__(self, _disable_deepcopy=True, policy=policy)
        super().__init__(env)
        self.policy = policy
        self._codec = _full_codec(env, type(self).__name__)
        self._hourly = np.flatnonzero(~self._codec.day_ahead)
        self._names = tuple(self._codec.names[i] for i in self._hourly)
        self.action_space = spaces.Box(-1.0, 1.0, self._hourly.shape, np.float32)
        self._plan: Array | None = None  # full action with the day's commitments; None: no episode
        self._t = 0

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the entries of the action."""
        return self._names

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; the policy's randomness is a function of the episode alone.

        Raises:
            InputError: as the wrapped environment, or the policy's answer is no full action.
        """
        observation, info = self.env.reset(seed=seed, options=options)
        _, split, index = info["label"]
        words = np.random.SeedSequence([index, *split.encode()])
        self.policy.reset(np.random.default_rng(words))
        self._t = 0
        self._commit(observation, info)
        return observation, info

    def step(self, action: NDArray[Any]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Play one step.

        Args:
            action: (entries,) in [-1, 1]; see `action_names`. float64 is computed in float64.

        Raises:
            InputError: the action has a wrong shape or a number that is not finite, the policy's
                answer for the next day is no full action, or no episode is in play.
        """
        if self._plan is None:
            raise InputError("step: no episode is in play; call reset first")
        vector = self._plan.copy()
        vector[self._hourly] = _checked(action, self._names)
        observation, reward, terminated, truncated, info = self.env.step(vector)
        self._t += 1
        if terminated or truncated:
            self._plan = None
        elif self._t % self._codec.system.steps_per_day == 0:
            self._commit(observation, info)
        return observation, float(reward), terminated, truncated, info

    def _commit(self, observation: Observation, info: dict[str, Any]) -> None:
        """Ask the policy for the commitments of the day that begins, if there are any."""
        self._plan = None
        plan = np.zeros(len(self._codec.entries))
        if self._codec.day_ahead.any():
            plan[:] = _checked(self.policy.act(observation, info), self._codec.names)
        self._plan = plan


class CommitmentByPeriod(
    gymnasium.ActionWrapper[Observation, NDArray[Any], NDArray[Any]], RecordConstructorArgs
):
    """Give pool schedule and grid nomination as one number per period of the tariff.

    Steps of the day with the same purchase and sale price are one period; a flat tariff has one,
    under a dynamic tariff the day is cut into blocks of 6 h, and under a feed-in tariff purchase
    prices alone count. Everything else stays as it is.
    A commitment that is constant within the periods is expressed exactly.
    """

    def __init__(self, env: gymnasium.Env[Observation, NDArray[Any]]) -> None:
        """Wrap an environment.

        Raises:
            InputError: env is no CommunityEnv underneath, or its action is no longer the full one.
        """
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        codec = _full_codec(env, type(self).__name__)
        self._names, self._source = _shared_entries(codec, tariff_periods(codec.system))
        self.action_space = spaces.Box(-1.0, 1.0, (len(self._names),), np.float32)

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the entries of the action, such as `community.nomination_offset_kw[0-5]`."""
        return self._names

    def action(self, action: NDArray[Any]) -> Array:
        """Return the full action.

        Raises:
            InputError: the action has a wrong shape or a number that is not finite.
        """
        return _checked(action, self._names)[self._source]


def tariff_periods(system: System) -> NDArray[np.int64]:
    """Return the number of the tariff period of each step of the day, (steps_per_day,)."""
    tariff = system.config.tariff
    hours = np.arange(system.steps_per_day) * system.dt_h
    if isinstance(tariff, FlatTariff):
        return np.zeros(len(hours), dtype=np.int64)
    if isinstance(tariff, DynamicTariff):
        return (hours // BLOCK_H).astype(np.int64)
    numbers: dict[tuple[float, float], int] = {}
    sale = (0.0,) * 24 if isinstance(tariff, FeedInTariff) else tariff.sell_per_kwh
    prices = list(zip(tariff.buy_per_kwh, sale, strict=True))
    return np.array([numbers.setdefault(prices[int(h)], len(numbers)) for h in hours])


def _shared_entries(
    codec: ActionCodec, periods: NDArray[np.int64]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the names when periods share an entry, and which of them each full entry reads."""
    labels = [_runs(np.flatnonzero(periods == period)) for period in periods]
    first = len(codec.system.participants) * N_ACTION
    numbers: dict[str, int] = {}

    def shared_name(entry: Entry) -> str:
        if entry.slot < first:
            return entry.name
        stem = entry.name[: entry.name.rindex("[")]
        return f"{stem}[{labels[(entry.slot - first) % len(periods)]}]"

    source = [numbers.setdefault(shared_name(entry), len(numbers)) for entry in codec.entries]
    return tuple(numbers), np.array(source, dtype=np.int64)


def _runs(steps: NDArray[np.int64]) -> str:
    """Return rising numbers as text, such as `0-6,22-23`."""
    parts = np.split(steps, np.flatnonzero(np.diff(steps) > 1) + 1)
    return ",".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else f"{p[0]}" for p in parts)


def _full_codec(env: gymnasium.Env[Any, Any], wrapper: str) -> ActionCodec:
    """Return the codec of the environment underneath, whose entries env must still take."""
    community = env.unwrapped
    if not isinstance(community, CommunityEnv):
        raise InputError(f"{wrapper}: {type(community).__name__} is not a CommunityEnv")
    wanted = (len(community.actions.entries),)
    if env.action_space.shape != wanted:
        raise InputError(
            f"{wrapper}: the wrapped action has shape {env.action_space.shape}; "
            f"it must be the full action of {community.system.name}, {wanted}"
        )
    return community.actions


def _checked(action: NDArray[Any], names: Sequence[str]) -> Array:
    """Return a vector in float64, or refuse it: naming its shape, or the entry and its value."""
    vector = np.asarray(action, dtype=np.float64)
    if vector.shape != (len(names),):
        raise InputError(
            f"action: shape {vector.shape}; it must be ({len(names)},), one number per entry"
        )
    wrong = np.flatnonzero(~np.isfinite(vector))
    if len(wrong):
        i = int(wrong[0])
        raise InputError(
            f"action: entry {i} ({names[i]}) is {vector[i]}; every entry must be a finite number"
        )
    return vector
