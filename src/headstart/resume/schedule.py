"""What a run that goes on takes from its config, and not from the checkpoint: learning rates, and all of their kind."""

import warnings
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

FIRST = "initial_lr"  # of a parameter group, as torch's schedulers call it
HISTORY = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")  # what ReduceLROnPlateau has seen


class NewSchedule(Callback):
    """Gives a resumed optimizer the settings, and the schedule, that a run of this config has at this step.

    Lightning takes the checkpoint's learning rate, weight decay, step size and so on, whatever the config says by now.
    Only what training has come to is in a checkpoint alone: an optimizer's moments, and what a schedule that reacts to
    a metric has seen. Where nothing was changed, all is as it was, bit for bit.
    """

    def __init__(self) -> None:
        self.checkpoint: dict[str, Any] | None = None

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep hold of what the optimizers will be restored from."""
        self.checkpoint = checkpoint if trainer.state.fn == "fit" else None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the settings of today into it: the optimizers are new, and not restored yet."""
        for group in (group for optimizer in trainer.optimizers for group in optimizer.param_groups):
            group.setdefault(FIRST, group["lr"])
        if self.checkpoint:
            renew(trainer, self.checkpoint)
        self.checkpoint = None


def ended(trainer: Trainer, checkpoint: dict[str, Any]) -> str | None:
    """Why nothing is left to train behind a checkpoint, and what to raise for more; None where something is."""
    epochs, steps = checkpoint["epoch"], checkpoint["global_step"]
    for stopping in trainer.early_stopping_callbacks:
        if checkpoint["callbacks"].get(stopping.state_key, {}).get("wait_count", 0) >= max(stopping.patience, 1):
            return (
                f"early stopping has ended the run after {epochs} epochs: raise patience, which is {stopping.patience}"
            )
    if trainer.max_epochs not in (None, -1) and epochs >= trainer.max_epochs:
        return f"the run has trained {epochs} epochs: raise trainer.max_epochs above that"
    if trainer.max_steps != -1 and steps >= trainer.max_steps:
        return f"the run has trained {steps} steps: raise trainer.max_steps above that"
    return None


def renew(trainer: Trainer, checkpoint: dict[str, Any]) -> None:
    """Write into `checkpoint` what the Trainer's new optimizers and schedules would have come to by its step."""
    seen, schedules = checkpoint["lr_schedulers"], []
    reacts = False
    for number, config in enumerate(trainer.lr_scheduler_configs):
        made, then = config.scheduler, seen[number] if number < len(seen) else {}
        reacts = config.reduce_on_plateau and HISTORY[1] in then
        if not config.reduce_on_plateau:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # as no optimizer takes these steps
                for _ in range(
                    checkpoint["epoch" if config.interval == "epoch" else "global_step"] // config.frequency
                ):
                    made.step()  # pyright: ignore[reportCallIssue]
        schedules.append(made.state_dict() | ({key: then[key] for key in HISTORY} if reacts else {}))
    checkpoint["lr_schedulers"] = schedules
    for optimizer, state in zip(trainer.optimizers, checkpoint["optimizer_states"], strict=False):
        for new, old in zip(optimizer.state_dict()["param_groups"], state["param_groups"], strict=False):
            was = old.get(FIRST, new[FIRST])
            lr = old["lr"] if was == new[FIRST] else old["lr"] * new[FIRST] / was  # as far down as it was
            old |= new | {"params": old["params"]} | ({"lr": lr} if reacts else {})
