"""The nearest neighbours of images in the space of their features, block by block."""

import torch
from torch import Tensor

from .examined import watched

BLOCK = 1 << 24  # cosines at once: 64 MB


def nearest(queries: Tensor, others: Tensor, k: int, same: bool = False) -> tuple[Tensor, Tensor]:
    """The `k` largest cosines of each query with others [queries, k], the largest first, and their rows in `others`.

    Both are directions of length one [images, num_features]. With `same`, they are the same images, and none is its
    own neighbour. Where there are fewer than `k` others, all are returned.
    """
    k = min(k, len(others) - same)
    rows = max(1, BLOCK // max(len(others), 1))
    cosines, found = [torch.empty(0, k)], [torch.empty(0, k, dtype=torch.int64)]
    for start in watched(range(0, len(queries), rows), "Comparing images"):
        block = queries[start : start + rows] @ others.T
        if same:
            block[torch.arange(len(block)), torch.arange(start, start + len(block))] = -torch.inf
        values, indices = block.topk(k, dim=1)
        cosines.append(values)
        found.append(indices)
    return torch.cat(cosines), torch.cat(found)
