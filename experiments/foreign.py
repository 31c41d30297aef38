"""Foreign agents: a model that stable-baselines3 saved, turned into an agent's folder.

Such a .zip holds pickled Python, and unpickling runs whatever it says. So it is read only where the
user says `--trust`, once, and what comes out is plain arrays.
"""

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import numpy as np

from baselines.agent import Facts, Network, interface_of
from experiments.agent_file import write_agent
from mmg_env.actions import ActionCodec
from mmg_env.errors import InputError
from mmg_env.observation import ObservationCodec
from mmg_env.system import System

TRIED: Final = 64
"""Random observations on which a model and what was made of it must agree."""
TOLERANCE: Final = 1e-3
"""Largest difference of their actions, as a share of half a range; sums are rounded differently."""


def is_foreign(policy: str) -> bool:
    """Return whether a policy's name is that of a saved model."""
    return policy.endswith(".zip")


def adopt(policy: str, system: System, folder: Path, trusted: bool) -> str:
    """Turn a saved model into an agent and return its folder, which is a policy's name.

    Args:
        policy: file of the model.
        system: what it was trained on.
        folder: where agents are put, in a folder by the file's hash.
        trusted: whether the user says that the file may be unpickled.

    Raises:
        InputError: the file is missing or not trusted, no known learner's, no plain network, or it
            does not fit.
    """
    file = Path(policy)
    if not file.is_file():
        raise InputError(f"policy {policy}: there is no such file")
    if not trusted:
        raise InputError(
            f"policy {policy}: it holds pickled Python, which can run anything when it is read; "
            "say --trust if you know where it is from"
        )
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    place = folder / f"{file.stem}-{digest[:8]}"
    _convert(file, system, place)
    return str(place)


def _convert(file: Path, system: System, place: Path) -> None:
    try:
        from torch import nn

        from experiments.learners import ACTIVATIONS, actor_of, network_of, open_model, squash_of
    except ImportError as error:
        raise InputError(f"{file}: {error.name} is missing; pip install '.[rl]'") from None

    algorithm, model, activation = open_model(file)
    _must_be_plain(file, actor_of(model), {nn.Linear, nn.Sequential, *ACTIVATIONS})
    network = network_of(model, activation)
    facts = Facts(
        name=file.stem,
        suite=system.name,
        algorithm=algorithm,
        activation=activation,
        squash=squash_of(model),
        layers=len(network.layers),
        interface=interface_of(system),
        training={"file": file.name},
    )
    _must_fit(file, model, system)
    _must_agree(file, model, network)
    write_agent(place, facts, network)


def _must_be_plain(file: Path, actor: Any, known: Collection[type]) -> None:
    """Refuse an actor with a part that would be left out of its plain arrays."""
    for part in actor.modules():
        if type(part) not in known:
            raise InputError(
                f"{file}: its actor holds the activation or layer {type(part).__name__}; "
                "allowed between linear layers: Tanh, ReLU"
            )


def _must_fit(file: Path, model: Any, system: System) -> None:
    """Refuse a model that was made for other spaces than a system's."""
    given = (model.observation_space.shape, model.action_space.shape)
    wanted = ((ObservationCodec(system).size,), (len(ActionCodec(system).entries),))
    if given != wanted:
        raise InputError(
            f"{file}: it takes observations {given[0]} and gives actions {given[1]}; "
            f"{system.name} has {wanted[0]} and {wanted[1]}"
        )


def _must_agree(file: Path, model: Any, network: Network) -> None:
    """Refuse a model that does anything else than its network: it reshapes, rescales or mixes."""
    shape = (TRIED, *model.observation_space.shape)
    seen = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    wanted, _ = model.predict(seen, deterministic=True)
    same = len(network.layers[0][0]) == shape[1] and np.allclose(
        network(seen), wanted, rtol=0.0, atol=TOLERANCE
    )
    if not same:
        raise InputError(
            f"{file}: its network alone does not give its actions; allowed: observations as they "
            "are, linear layers with Tanh or with ReLU between them, actions in [-1, 1]"
        )
