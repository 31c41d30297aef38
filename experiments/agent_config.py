"""What a file in `configs/agents` says: a learner and how it is trained."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from experiments.yaml_model import read_model
from mmg_env.config_devices import Count, Label, Model
from mmg_env.config_file import config_directory
from mmg_env.errors import ConfigError

Algorithm = Literal["ppo", "sac", "td3", "tqc", "bc", "forecast"]
Share = Annotated[float, Field(gt=0.0, le=2.0)]


class Residual(Model):
    """The learner corrects a policy.

    In training the policy is played by a network that was cloned from it, because it is slow; when
    the agent is scored it is the policy itself.
    """

    base: Label = Field(description="The policy that is corrected.")
    scale: Share = Field(0.2, description="Largest correction, as a share of half a range.")


class Constraint(Model):
    """A constraint of the safety channel, kept by a price that the trainer moves."""

    channel: Literal["unserved_kwh", "unserved_heat_kwh", "spill_kwh", "projection_kw"] = Field(
        description="What is to be small."
    )
    limit: float = Field(ge=0.0, description="Mean per episode that is tolerated.")
    step: float = Field(gt=0.0, description="How fast the price moves, per unit of violation.")


class Cloning(Model):
    """How a network is cloned from a policy."""

    episodes: Count = Field(200, description="Training episodes that are demonstrated.")
    updates: Count = Field(2000, description="Steps of the optimiser.")
    batch_size: Count = Field(1024, description="Demonstrations per step of the optimiser.")
    learning_rate: float = Field(
        1e-3, gt=0.0, description="At the beginning; it falls to 0 along half a cosine."
    )


class Fitting(Model):
    """How the reading of forecasts is learned: the algorithm `forecast`."""

    episodes: Count = Field(200, description="Training episodes that are looked at.")
    ridge: float = Field(1e-3, gt=0.0, description="Weight of changing a forecast, per issue.")


class AgentConfig(Model):
    """A learner and how it is trained."""

    algorithm: Algorithm = Field(description="ppo, sac, td3, tqc, bc (cloning alone) or forecast.")
    envs: Count = Field(64, description="Slots of the training batch.")
    network: tuple[Count, ...] = Field((256, 256), description="Width of each hidden layer.")
    activation: Literal["tanh", "relu"] = Field("relu", description="Between the layers.")
    settings: dict[str, Any] = Field({}, description="Arguments of the algorithm's class.")
    log_std: tuple[float, float] = Field(
        (-1.0, -3.5), description="PPO: logarithm of the spread of actions, first and last."
    )
    actor_share: Share = Field(
        1.0, description="PPO: the actor's learning rate, as a share of the critic's."
    )
    critic_first: int = Field(0, ge=0, description="Steps in which a cloned actor stays as it is.")
    evaluate_every: Count = Field(50_000, description="Steps between two evaluations on val.")
    cloning: Cloning = Field(Cloning(), description="How a policy is cloned.")
    fitting: Fitting = Field(Fitting(), description="How a forecast is learned.")
    residual: Residual | None = Field(None, description="Correct a policy rather than replace it.")
    team: Literal["shared", "independent"] | None = Field(
        None, description="Every participant an agent: all share the network, or each has its own."
    )
    constraint: Constraint | None = Field(None, description="Keep a constraint by a price.")


def read_agent_config(name_or_path: str) -> AgentConfig:
    """Return a shipped learner by name, or one from a file.

    Raises:
        ConfigError: one line per fault, with file, line, key and what is allowed.
    """
    folder = config_directory() / "agents"
    known = sorted(file.stem for file in folder.glob("*.yaml"))
    file = folder / f"{name_or_path}.yaml" if name_or_path in known else Path(name_or_path)
    if file.suffix not in (".yaml", ".yml") and not file.exists():
        raise ConfigError(f'no agent file "{name_or_path}"; known: {", ".join(known)}')
    return read_model(file, AgentConfig)
