"""Which of a run's processes this is, and what the first one tells the others before Lightning lets them speak.

Lightning starts further processes when all is known, and names the run's folder to them. Those of torchrun and srun
all begin at once, each in a second of its own.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from .errors import UserError

if TYPE_CHECKING:
    from lightning.pytorch import Trainer
    from torch.distributed import Store

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")  # where Lightning looks for a process's number
COUNTS = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS")  # of torchrun and srun: how many they have started
STARTERS = ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS")
PATIENCE = timedelta(minutes=30)  # as everything else in torch and Lightning has it


def is_first_process() -> bool:
    """Whether this is the process that writes for all of a run."""
    return next((os.environ[name] for name in RANKS if name in os.environ), "0") == "0"


def is_started_with_others() -> bool:
    """Whether torchrun or srun has started this process beside others."""
    return bool(set(STARTERS) & os.environ.keys()) and _count() > 1


def refuse_other_count(trainer: "Trainer") -> None:
    """Raise UserError where a Trainer takes fewer, or more, processes than torchrun or srun has started.

    Each would train by itself, all in one folder, or wait for others forever.
    """
    wanted = trainer.num_devices * trainer.num_nodes
    if is_started_with_others() and _count() != wanted:
        raise UserError(
            f"{_count()} processes were started, and the trainer is for {wanted}: give trainer=ddp or trainer=fsdp, "
            "and how many there are on each machine, and machines, by trainer.devices=... trainer.num_nodes=..."
        )


def tell_others(key: str, value: str) -> None:
    """Tell the processes that were started beside this one, if there are any."""
    if store := _store():
        store.set(key, value)


def told_by_first(key: str) -> str | None:
    """What the first process tells, once it does so; None where nobody has started this one beside it.

    Raises UserError when it doesn't.
    """
    store = _store()
    try:
        return store.get(key).decode() if store else None
    except RuntimeError as error:
        raise UserError(f"the first of the processes that were started together has gone ({error})") from error


@contextmanager
def first_before_others(key: str) -> Iterator[None]:
    """Let the first process be done with what is inside before the others begin: what it fetches, they find."""
    if not is_first_process():
        told_by_first(key)
        yield
        return
    try:
        yield
    finally:
        tell_others(key, "done")


def _count() -> int:
    return int(next((os.environ[name] for name in COUNTS if name in os.environ), "1"))


@cache  # as it goes with its host, and torch's own is on the same port
def _store() -> "Store | None":
    """Where processes that torchrun or srun has started meet."""
    if not is_started_with_others():
        return None
    from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
    from torch.distributed import PrefixStore, TCPStore

    environment = TorchElasticEnvironment() if TorchElasticEnvironment.detect() else SLURMEnvironment()
    hosts = is_first_process() and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    place = environment.main_address, environment.main_port
    store = TCPStore(*place, is_master=hosts, timeout=PATIENCE, wait_for_workers=False, multi_tenant=True)
    return PrefixStore(f"run/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
