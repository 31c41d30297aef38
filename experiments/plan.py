"""What `mmg train` is asked for, and where it leaves what."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

VALIDATED: Final = 64
"""Episodes of val."""
AGENT: Final = "agent"
CURVE: Final = "curve.csv"


@dataclass(frozen=True)
class Plan:
    """What the command line asks for.

    Attributes:
        suite: what is learned on.
        algorithm: ppo, sac, td3, tqc, bc or forecast.
        steps: of the environment.
        seed: of the learner and of its episodes.
        agent: name or file of the learner's configuration.
        warm_start: the policy whose clone it begins from; empty for none.
        out: folder.
        workers: processes that demonstrate; None for one per core.
    """

    suite: str
    algorithm: str
    steps: int
    seed: int
    agent: str
    warm_start: str
    out: Path
    workers: int | None

    def command(self) -> str:
        """Return the command line."""
        words = ["mmg", "train", "--suite", self.suite, "--algo", self.algorithm]
        words += ["--steps", str(self.steps), "--seed", str(self.seed), "--agent", self.agent]
        words += ["--warm-start", self.warm_start] if self.warm_start else []
        return shlex.join(words)
