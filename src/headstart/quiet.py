"""What libraries say that means nothing to a user of headstart, each by its own words and for its own reason."""

import logging
import warnings


def quiet() -> None:
    """Silence that; everything else is still shown."""
    # Lightning's hints, advertisements, and the devices that this machine hasn't got.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    # The backbone is in eval mode because it is frozen: that is the point.
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode at the start of training")
    # Lightning 2.6 on torch >= 2.13 asks a private class of torch in the old way.
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
    # A run that is resumed goes on in its own folder: that is the point, too.
    warnings.filterwarnings("ignore", message=r"Checkpoint directory .* exists and is not empty")
    # Loaders that begin where training stands need no state of their own: see data/order.py.
    warnings.filterwarnings("ignore", message=r"You're resuming from a checkpoint that ended before the epoch ended")
    # debug=overfit means it so.
    warnings.filterwarnings("ignore", message=r"You requested to overfit but enabled train dataloader shuffling")
