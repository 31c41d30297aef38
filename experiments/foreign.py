"""Foreign agents: a model that stable-baselines3 saved, turned into an agent's folder.

Such a .zip holds pickled Python, and unpickling runs whatever it says. So it is read only where the
user says `--trust`, once, and what comes out is plain arrays.
"""

import hashlib
from pathlib import Path

from baselines.agent import Facts, interface_of
from experiments.agent_file import write_agent
from mmg_env.actions import ActionCodec
from mmg_env.errors import InputError
from mmg_env.observation import ObservationCodec
from mmg_env.system import System


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
        InputError: the file is missing or not trusted, no known learner's, or it does not fit.
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
        from experiments.learners import network_of, open_model, squash_of
    except ImportError as error:
        raise InputError(f"{file}: {error.name} is missing; pip install '.[rl]'") from None

    algorithm, model, activation = open_model(file)
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
    seen, done = network.layers[0][0].shape[0], network.layers[-1][1].shape[0]
    wanted = (ObservationCodec(system).size, len(ActionCodec(system).entries))
    if (seen, done) != wanted:
        raise InputError(
            f"{file}: it takes {seen} observations and gives {done} actions; {system.name} has "
            f"{wanted[0]} and {wanted[1]}"
        )
    write_agent(place, facts, network)
