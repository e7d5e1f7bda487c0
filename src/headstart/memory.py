"""How this process treats memory that it has freed."""

import atexit
import ctypes
import gc
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # their numbers in <malloc.h>


YOUNG = 20_000  # objects


@cache
def leave_imports_alone() -> None:
    """Keep Python's search for garbage away from what lives as long as this process, and let it come less often.

    Torch and Lightning make a million objects. Looking through them again and again took a tenth of the time of a head
    on cached features. Once a process: what a sweep's job leaves behind has to be found.
    """
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # else extensions that look for leaks at the end find all that they made
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])


def reuse_freed_memory() -> None:
    """Let glibc keep freed memory for the next layer instead of giving it back to the system, wherever glibc is.

    By default it maps every large tensor anew, and the system clears each page before it is used: a third of the time
    of a forward pass on a CPU. See `man 3 mallopt`.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl; Windows
        return
    mallopt(MMAP_THRESHOLD, 1 << 30)
    mallopt(TRIM_THRESHOLD, (1 << 31) - 1)
