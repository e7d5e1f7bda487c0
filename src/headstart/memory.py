"""How this process treats memory that it has freed."""

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # their numbers in <malloc.h>


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
