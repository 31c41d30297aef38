"""What `mmg train` is asked for, what goes together, and where it leaves what."""

import hashlib
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from experiments.agent_config import AgentConfig
from experiments.records import write_atomically
from mmg_env.errors import InputError
from mmg_env.system import load_system

VALIDATED: Final = 64
"""Episodes of val."""
AGENT: Final = "agent"
CURVE: Final = "curve.csv"
CHECKPOINT: Final = "checkpoint.pt"
PLAN: Final = "plan.json"


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


def must_suit(plan: Plan, config: AgentConfig) -> None:
    """Refuse what does not go together.

    Raises:
        InputError: says what.
    """
    algorithm, file, warm = config.algorithm, plan.agent, plan.warm_start
    still = algorithm in ("bc", "forecast")
    begun = config.residual or config.constraint or warm
    faults = {
        f"--algo: {plan.algorithm}, but {file} says algorithm: {algorithm}": (
            algorithm != plan.algorithm
        ),
        f"{file}: a team has no residual, constraint or --warm-start: agents see too little to do "
        "what a planner of the whole community does": config.team and begun,
        f"{file}: team and residual need an algorithm that plays, and {algorithm} does not": (
            still and (config.team or config.residual)
        ),
        f"{file}: agents that learn independently need algorithm: ppo": (
            config.team == "independent" and algorithm != "ppo"
        ),
        f"--warm-start: {warm}, but {file} asks for a residual, which begins from nothing": (
            config.residual and warm
        ),
        "--algo bc: name the policy that is cloned with --warm-start": (
            algorithm == "bc" and not warm
        ),
        f"--warm-start: {warm}, but --algo forecast clones nothing": (
            algorithm == "forecast" and warm
        ),
    }
    for sentence, found in faults.items():
        if found:
            raise InputError(sentence)


def must_continue(plan: Plan, config: AgentConfig) -> None:
    """Remember what is trained in a folder; refuse to go on with anything else there.

    More steps of the same are welcome.

    Raises:
        InputError: another training lies in the folder.
    """
    system = load_system(plan.suite)
    numbers = hashlib.sha256(system.config.model_dump_json(exclude_defaults=True).encode())
    told = {
        "--suite": f"{system.name} ({numbers.hexdigest()[:12]})",
        "--seed": plan.seed,
        "--warm-start": plan.warm_start,
        "--agent": config.model_dump(mode="json", exclude_defaults=True),
    }
    file = plan.out / PLAN
    if file.exists():
        before = json.loads(file.read_text(encoding="utf-8"))
        for option, value in told.items():
            if before.get(option) != value:
                raise InputError(
                    f"{plan.out}: what lies there was trained with {option} {before.get(option)}, "
                    f"not {value}; choose another --out, or remove the folder"
                )
    text = json.dumps(told, indent=1) + "\n"
    write_atomically(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))
