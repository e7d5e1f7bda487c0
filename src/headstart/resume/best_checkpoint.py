"""Keeps `checkpoints/best.ckpt`, the best epoch by score, whatever else is kept beside it."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from ..errors import UserError
from ..files import write_atomically

BEST = "best"
OURS = ("last", "next")  # what LastCheckpoint's names begin with
NAME = "callbacks.model_checkpoint"


class BestCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, with the best by score always in `best.ckpt`.

    By itself, Lightning gives all that `save_top_k` keeps one name, where the last that was written stays, makes a
    folder of the slash in `{val/loss}`, and forgets which was the best when a run's folder has been moved. Raises
    UserError for options by which the best could not be told.
    """

    def __init__(self, *, filename: str | None = BEST, save_top_k: int = 1, **options: Any) -> None:
        if options.get("save_last") or str(filename).startswith(OURS):
            raise UserError(f"{NAME}: last.ckpt is written by callbacks.last_checkpoint already, and resume= needs it")
        if options.get("every_n_train_steps") or options.get("train_time_interval"):
            raise UserError(f"{NAME}: between validations there is no score; +trainer.val_check_interval=0.5 adds some")
        self.alone = filename == BEST and save_top_k == 1
        filename = None if filename == BEST and not self.alone else filename  # Lightning's own: epoch and step
        options["enable_version_counter"] = not self.alone
        super().__init__(filename=filename, save_top_k=save_top_k, **options)

    def format_checkpoint_name(self, *args: Any, **kwargs: Any) -> str:
        """A path in `dirpath`, without a folder for the slash in a metric's name."""
        path = Path(super().format_checkpoint_name(*args, **kwargs))
        folder = Path(self.dirpath or "")
        return str(folder / "_".join(path.relative_to(folder).parts))

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        """Save one, and a copy in best.ckpt if it is the best by now."""
        super()._save_checkpoint(trainer, filepath)
        if not self.alone and filepath == self.best_model_path and trainer.is_global_zero:
            write_atomically(Path(filepath).with_name(f"{BEST}.ckpt"), Path(filepath).read_bytes())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what was kept, wherever the folder is now."""
        here = {path: str(Path(self.dirpath or "") / Path(path).name) for path in state_dict["best_k_models"]}
        paths = {key: here.get(state_dict[key], "") for key in ("best_model_path", "kth_best_model_path")}
        scores = {here[path]: score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(state_dict | paths | {"best_k_models": scores, "dirpath": self.dirpath})
