"""Shows what the whole network computes, backbone and head, as TensorBoard's graph."""

import logging
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from headstart.sharding import is_shared_out
from headstart.tracking.show import Show, step_of, wanted

log = logging.getLogger(__name__)


class ModelGraph(Callback):
    """Shows the graph once, before the run's first step; `plots` and `sweep_dir` say for which runs."""

    def __init__(self, plots: bool | Literal["auto"] = True, sweep_dir: str | None = None) -> None:
        self.plots, self.sweep_dir = plots, sweep_dir

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute a black image in eval mode, with torch's random numbers as they were; a failure is only said."""
        show = Show(trainer, 0)
        is_wanted = wanted(self.plots, trainer.default_root_dir, self.sweep_dir) and not is_shared_out(pl_module)
        if not is_wanted or step_of(trainer) or not show.boards:
            return
        side: Any = pl_module.preprocessing.crop  # pyright: ignore[reportAttributeAccessIssue] (a Classifier's)
        image = torch.zeros(1, 3, side, side, dtype=torch.uint8, device=pl_module.device)
        pl_module.eval()
        try:
            show.graph("model", pl_module, image)
        except Exception as error:  # a backbone may be anybody's, and no run ends for want of a drawing
            log.warning(f"TensorBoard gets no graph of this model: {type(error).__name__}: {error}")
        finally:
            pl_module.train()
