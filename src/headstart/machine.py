"""This machine and this process: cores, precision, memory, the terminal, and what libraries say without being asked."""

import atexit
import gc
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from .errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

Precision = Literal["bf16-mixed", "32-true"]
FLOAT16 = ("16-mixed", "16", 16)
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8  # their numbers in <malloc.h>
STOPS = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")  # signals that ask for an end; Windows knows the first two
SIGNALS = tuple(getattr(signal, name) for name in STOPS if hasattr(signal, name))
YOUNG = 20_000  # objects that Python makes before it looks for garbage


class Interrupted(SystemExit):
    """A signal ended the run. Its exit code is 128 + the signal's number, as shells and schedulers know it."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum
        self.args = (signum,)  # of which it is made again in another process


def usable_cores() -> int:
    """Those that the scheduler, a container or `taskset` leaves to it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def best_precision(accelerator: str = "auto") -> Precision:
    """`bf16-mixed` where the hardware computes in bf16 (CUDA >= 8.0, CPUs with AVX512-BF16 or AMX), else `32-true`."""
    import torch  # here, as `usable_cores` is asked for without it

    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        has_bf16 = torch.cuda.get_device_capability() >= (8, 0)
    elif accelerator == "mps" or (accelerator in ("auto", "gpu") and torch.backends.mps.is_available()):
        has_bf16 = False
    else:  # no public name for these two yet; both have been there since torch 2.6
        has_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if has_bf16 else "32-true"


def chosen_precision(precision: str | int | None, accelerator: str) -> Any:
    """The precision that a Trainer is given; raises UserError for one that the accelerator doesn't compute in."""
    if precision == "auto":
        return best_precision(accelerator)
    if precision in FLOAT16 and (accelerator == "cpu" or not _has_gpu()):
        # Lightning would compute in bf16 instead, for which any CPU but the newest takes 13 times as long.
        raise UserError(
            "trainer.precision=16-mixed is for a GPU, and slow on a CPU: choose auto, bf16-mixed or 32-true"
        )
    return precision


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def repeatable() -> Literal["warn"] | None:
    """What Trainer(deterministic=) needs for equal runs to be equal bit for bit.

    On a CPU that is nothing. On a GPU, torch chooses its repeatable operations, and warns of those that have none.
    """
    import torch

    if not torch.cuda.is_available():
        return None
    # A help for finding bugs, that costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    return "warn"


def prepare_process() -> None:
    """Let this process use its memory, and warn, as is best for training."""
    quiet()
    print_any_name()
    reuse_freed_memory()
    ask_once_for_cuda()


def keep_imports() -> None:
    """Keep Python's search for garbage away from what is imported by now, unless others have begun to work with it.

    Its last search, when the process ends, takes a tenth of the time in which a misspelt key is told.
    """
    if "torch" not in sys.modules:
        gc.freeze()


@contextmanager
def quick_imports() -> Iterator[None]:
    """Keep Python's search for garbage away from torch and what else is imported inside, now and later.

    They make a million objects that live as long as this process. Looking through them as they come takes a quarter of
    the time of importing them, and again and again a tenth of the time of a head on cached features.
    """
    if "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # else extensions that look for leaks at the end find all that they made
        gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
        gc.enable()


@contextmanager
def hidden(module: str) -> Iterator[None]:
    """Let what is imported inside do without a module that it would take if it were there, imported before or not."""
    before = sys.modules.pop(module, None)
    sys.modules[module] = None  # pyright: ignore[reportArgumentType] (as the language's reference has it)
    try:
        yield
    finally:
        del sys.modules[module]
        if before is not None:
            sys.modules[module] = before


def ask_once_for_cuda() -> None:
    """Have torch remember that this machine has no CUDA device: its optimizers look for the driver in every step.

    That takes a tenth of a linear head's step.
    """
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def reuse_freed_memory() -> None:
    """Let glibc keep freed memory for the next layer instead of giving it back to the system, wherever glibc is.

    By default it maps every large tensor anew, and the system clears each page before it is used: a third of the time
    of a forward pass on a CPU. See `man 3 mallopt`.
    """
    _mallopt({MMAP_THRESHOLD: 1 << 30, TRIM_THRESHOLD: (1 << 31) - 1})


def share_freed_memory() -> None:
    """Let all threads that begin from now on share one heap: each would keep as much as it once needed at most."""
    _mallopt({ARENA_MAX: 1})


def _mallopt(options: dict[int, int]) -> None:
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl; Windows
        return
    for option, value in options.items():
        mallopt(option, value)


def terminal(**options: Any) -> "Console":
    """Where to print texts and tables: as they are, since `[red]`, `:cat:` or `[/x]` may be a path or a class."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, **options)


def print_any_name() -> None:
    """Let a name that the terminal's encoding can't show be escaped: a run shouldn't end with an error over that."""
    if hasattr(sys.stdout, "reconfigure"):  # not what tests and notebooks put in its place
        sys.stdout.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]


def quiet() -> None:
    """Silence that; everything else is still shown."""
    # Lightning's hints, advertisements, and the devices that this machine hasn't got.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    # That in a job of SLURM it takes signals over by which the job is put back into the queue: it finds them taken.
    logging.getLogger("lightning.pytorch.trainer.connectors.signal_connector").setLevel(logging.WARNING)
    # The backbone is in eval mode because it is frozen: that is the point.
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode at the start of training")
    # Lightning 2.6 on torch >= 2.13 asks a private class of torch in the old way.
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
    # A run that is resumed goes on in its own folder: that is the point, too.
    warnings.filterwarnings("ignore", message=r"Checkpoint directory .* exists and is not empty")
    # Loaders that begin where training stands need no state of their own: see images/order.py.
    warnings.filterwarnings("ignore", message=r"You're resuming from a checkpoint that ended before the epoch ended")
    # Where SLURM is installed, not everything is one of its jobs.
    warnings.filterwarnings("ignore", message=r"The `srun` command is available on your system but is not used")
    # debug=overfit means it so.
    warnings.filterwarnings("ignore", message=r"You requested to overfit but enabled train dataloader shuffling")
    # Lightning 2.6 calls it, on torch >= 2.13.
    warnings.filterwarnings("ignore", message=r"torch\.distributed\.nn\.functional\.all_gather is deprecated")
