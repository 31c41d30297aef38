"""Participants that learn alone what to quote: independent PPO where only quotes are open.

A participant sees its role and the kind of hour, and draws one of the margins there are. Actor and
critic are linear in a one-hot of who it is and what it sees. So they are tables, nobody shares a
number with another, and one batch trains all at once: stable-baselines3's PPO as it stands, with
each agent's rewards and advantages scaled on their own (see `experiments.apart`)::

    P(margin | participant, role, kind) = softmax over margins of actor[participant, role, kind]

The reward is what a participant saves in an hour beside a day on which everybody is honest, less
its fines, with its part of the others'. As hours do not meet, the discount is 0. In the beginning
everybody is honest in two hours of three, and tries any margin in the third.

An audit is drawn for each participant and day with probability q. A fine is strength / q per unit
of hidden money, so that strength is what is to be expected.

Source: de Witt et al. 2020 (independent PPO); beginning and settings are our choice.
"""

from typing import Any, Final

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.utils import LinearSchedule

from baselines.bargaining.quoting import handed_on
from experiments.apart import SETTINGS, OwnAdvantages, OwnScales
from experiments.misquoting_market import GRID, KINDS, ROLES, SILENT, Market
from experiments.sb3_vec import BatchVecEnv, Stepped
from mmg_env.sources.random import stream

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Seen = NDArray[np.float32]

CASES: Final = len(ROLES) * len(KINDS)  # what may be seen, but for silence
HONEST: Final = 3.0  # the actor's first number for a margin of 0; all others are 0
AUDITED: Final = 0.25  # share of its days on which a participant is audited
RATE: Final = 0.05  # of learning, at first; it falls to 0
EPOCHS: Final = 4
MINIBATCHES: Final = 4


class QuotingVecEnv(BatchVecEnv):
    """The days of a market as stable-baselines3 sees them: a slot per day and participant."""

    def __init__(self, market: Market, strength: float, rng: np.random.Generator) -> None:
        """Take the market, the expected fine per unit of hidden money, and what draws audits."""
        days = market.days
        self._market, self._strength, self._rng = market, strength, rng
        self._shape = (len(days.episodes), len(days.participants))
        self._seen = seen(days.role, days.kind)
        self._paid_honestly = market.play(np.zeros(days.role.shape)).paid
        self._margins: Array = np.zeros(self._shape)
        self._audited: NDArray[np.bool_] = np.zeros(self._shape, np.bool_)
        self._t = 0
        shown = spaces.Box(0.0, 1.0, self._seen.shape[-1:], np.float32)
        super().__init__(int(np.prod(self._shape)), shown, spaces.Discrete(len(GRID)))

    def reset(self) -> Seen:
        """Go back to the first hour of every day."""
        self._market.begin()
        self._t = 0
        return self._now()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Look margins up."""
        self._margins = GRID[actions.reshape(self._shape)]

    def step_wait(self) -> Stepped:
        """Play one hour of every day."""
        days, t = self._market.days, self._t
        if t % days.system.steps_per_day == 0:
            self._audited = self._rng.random(self._shape) < AUDITED
        played = self._market.hour(t, np.where(days.role[:, t] == SILENT, 0.0, self._margins))
        fines = handed_on(self._strength / AUDITED * self._audited * played.hidden)
        saved = (self._paid_honestly[:, t] - played.paid - fines).astype(np.float32).ravel()
        self._t += 1
        over = self._t == days.role.shape[1]
        last = self._seen[:, -1].reshape(self.num_envs, -1)
        infos = [{"terminal_observation": row} if over else {} for row in last]
        return self.reset() if over else self._now(), saved, np.full(self.num_envs, over), infos

    def close(self) -> None:
        """Nothing is open."""

    def _now(self) -> Seen:
        return self._seen[:, self._t].reshape(self.num_envs, -1)


def seen(role: Integers, kind: Integers) -> Seen:
    """Return one-hots of who sees what: zeros where one is silent.

    Args:
        role: (episodes, steps, participants) place in ROLES, or SILENT.
        kind: (episodes, steps) place in KINDS.

    Returns:
        (episodes, steps, participants, participants * CASES), participant by participant.
    """
    agents = role.shape[-1]
    place = CASES * np.arange(agents) + len(KINDS) * role + kind[..., None]
    rows = np.eye(agents * CASES + 1, agents * CASES, dtype=np.float32)
    return rows[np.where(role == SILENT, agents * CASES, place)]


def learn(market: Market, strength: float, steps: int, seed: int) -> Array:
    """Let all participants of a market learn at once; return how they quote in the end.

    Args:
        market: the days that they learn from, all of them in each round.
        strength: expected fine per unit of hidden money.
        steps: hours of the community to learn from, rounded up to whole rounds.
        seed: of the learners and the audits.

    Returns:
        Probabilities of margins, (participants, roles, kinds, len(GRID)).
    """
    torch.set_num_threads(1)  # the tables are small: more threads only wait for each other
    days = market.days
    agents = len(days.participants)
    audits = stream(days.system.name, "train", seed, f"misquoting, audits of {strength:g}")
    settings: dict[str, Any] = dict(SETTINGS)
    model = PPO(
        "MlpPolicy",
        OwnScales(QuotingVecEnv(market, strength, audits), agents, gamma=0.0),
        n_steps=days.role.shape[1],
        batch_size=-(-days.role.size // MINIBATCHES),
        n_epochs=EPOCHS,
        gamma=0.0,
        gae_lambda=0.0,
        learning_rate=LinearSchedule(RATE, 0.0, 1.0),
        policy_kwargs={"net_arch": []},
        rollout_buffer_class=OwnAdvantages,
        rollout_buffer_kwargs={"agents": agents},
        seed=seed,
        device="cpu",
        **settings,
    )
    policy: Any = model.policy
    for table in (policy.action_net, policy.value_net):
        torch.nn.init.zeros_(table.weight)
        table.bias.requires_grad_(False)  # all would share it
    policy.action_net.weight.data[0] = HONEST
    model.learn(steps * agents)
    chances: torch.Tensor = torch.softmax(policy.action_net.weight.detach().double(), dim=0)
    return chances.T.reshape(agents, len(ROLES), len(KINDS), len(GRID)).numpy()
