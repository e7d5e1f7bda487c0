"""Warnings of libraries that say nothing to a user of headstart, each by its own words and for its own reason."""

import warnings


def quiet() -> None:
    """Silence them; everything else is still shown."""
    # The backbone is in eval mode because it is frozen: that is the point.
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode at the start of training")
    # Lightning 2.6 on torch >= 2.13 asks a private class of torch in the old way.
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
    # A run that is resumed goes on in its own folder: that is the point, too.
    warnings.filterwarnings("ignore", message=r"Checkpoint directory .* exists and is not empty")
    # debug=overfit means it so.
    warnings.filterwarnings("ignore", message=r"You requested to overfit but enabled train dataloader shuffling")
