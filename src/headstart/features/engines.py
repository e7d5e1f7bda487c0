"""Which engine computes features on a CPU: PyTorch, or another that is installed and that was measured to be faster."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import UserError
from .trial import FEW, Make, Trial, key_of, recall, remember, timed, try_engine

AUTO, TORCH = "auto", "torch"
OTHERS = ("openvino",)  # packages, and names of entry points
GROUP = "headstart.engines"  # of entry points in pyproject.toml, each of which is a `Make`
PRECISIONS = {"bf16-mixed": True, "32-true": False}  # and whether it computes in bfloat16
HERE = f"a CPU, one process, and {' or '.join(PRECISIONS)}"
# That PyTorch takes for all images. In less, what another engine gains is less than what converting a network takes.
WORTH_A_TRY = 10  # seconds

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Engine:
    """Another runtime than PyTorch; `forced` if it was asked for by its name, and needn't be faster."""

    name: str
    version: str
    bf16: bool
    forced: bool

    @property
    def label(self) -> str:
        """What its features are known by, as they differ from PyTorch's; nothing in float32, where they don't."""
        return f"{self.name} {self.version}" if self.bf16 else ""


def check_engine(wanted: str) -> None:
    """Raise UserError for an engine that there isn't, or whose package isn't installed."""
    if wanted not in (AUTO, TORCH, *OTHERS):
        raise UserError(f"features.engine={wanted}: choose {', '.join((AUTO, TORCH))} or {' or '.join(OTHERS)}")
    if wanted in OTHERS and not _version(wanted):
        raise UserError(f"features.engine={wanted}: it is not installed: pip install -e .[{wanted}]")


def other_engine(wanted: str, device: torch.device, precision: str, processes: int = 1) -> Engine | None:
    """The engine that may take PyTorch's place; None on a GPU, of several processes, and where none is installed.

    In bfloat16 it has to be named: an image in several hundred comes to another class then, which nobody has asked for.
    """
    if wanted == TORCH or device.type != "cpu" or precision not in PRECISIONS or processes > 1:
        if wanted in OTHERS:
            log.warning(f"features: computed by {TORCH}, as {wanted} is for {HERE}")
        return None
    if wanted == AUTO and PRECISIONS[precision]:
        return None
    installed = [name for name in OTHERS if wanted in (AUTO, name) and _version(name)]
    return Engine(installed[0], _version(installed[0]), PRECISIONS[precision], wanted != AUTO) if installed else None


def fastest(
    engine: Engine, network: nn.Module, example: Tensor, first: Callable[[], Tensor], count: int, folder: Path
) -> nn.Module | None:
    """A frozen network on the CPU by `engine`; None where PyTorch takes no longer for `count` images, or must do.

    `example` [2, 3, height, width] is noise, `first` returns the first images, both normalised. What comes of a trial
    is remembered in `folder`.
    """
    key = key_of(f"{engine.name} {engine.version}, torch {torch.__version__}", network, example, engine.bf16)
    known = recall(folder).get(key)
    if known and known.problem:
        return _stay(engine, known.problem)
    rate = known.torch if known else timed(network, example.repeat(FEW // 2, 1, 1, 1), engine.bf16)[0]
    promising = known.pays(count) if known else count > WORTH_A_TRY * rate
    make = _find(engine) if promising or engine.forced else None
    if make is None:
        return None
    trial, made = try_engine(make, network, first()[: max(FEW, int(rate))], engine.bf16)  # a second of PyTorch
    trial = trial if trial.problem or not known else known
    remember(folder, key, trial)
    if made is None:
        return _stay(engine, trial.problem)
    return made if _wins(engine, trial, count) else None


def _find(engine: Engine) -> Make | None:
    """What makes a network the engine's; None where it was deleted, or came after the project was installed."""
    try:
        return next(iter(entry_points(group=GROUP, name=engine.name))).load()
    except (StopIteration, ModuleNotFoundError) as error:
        if engine.forced:
            _stay(engine, str(error) or "this installation is older than its entry point: pip install -e .")
        return None


def _wins(engine: Engine, trial: Trial, count: int) -> bool:
    """Whether the engine computes so many images; says so, with the figures."""
    wins = engine.forced or trial.pays(count)
    said = f"{trial.engine:,.0f} images a second, PyTorch {trial.torch:,.0f}; converted in {trial.seconds:.1f} s"
    log.info(f"features: computed by {f'{engine.name} {engine.version}' if wins else TORCH} ({engine.name}: {said})")
    return wins


def _stay(engine: Engine, problem: str) -> None:
    level = logging.WARNING if engine.forced else logging.INFO
    log.log(level, f"features: computed by {TORCH}, as {engine.name} can't be used: {problem}")


@cache
def _version(package: str) -> str:
    """The version that is installed; empty where none is."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
