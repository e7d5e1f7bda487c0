"""What a Trainer or a callback of Lightning would refuse late, or take and come to nothing good, seen in the config."""

from importlib.util import find_spec

from omegaconf import DictConfig, OmegaConf

from ..errors import UserError, did_you_mean
from ..machine import chosen_precision

CHOICES: dict[str, tuple[object, ...]] = {
    "accelerator": ("auto", "cpu", "gpu", "cuda", "mps"), "deterministic": ("auto", True, False, "warn", None),
    "gradient_clip_algorithm": ("norm", "value", None), "profiler": ("simple", "advanced", "pytorch", None),
    "precision": ("auto", "bf16-mixed", "16-mixed", "32-true", "bf16", "16", "32", 16, 32, None),
}  # fmt: skip
SHORT = {"bf16", "16", "32", 16, 32, None}  # that Lightning takes, too, and messages needn't list
WHOLE = ("64-true", "16-true", "bf16-true", "64", "transformer-engine", "transformer-engine-float16")
LEAST = {
    "accumulate_grad_batches": 1, "num_nodes": 1, "min_epochs": 0, "log_every_n_steps": 0, "num_sanity_val_steps": -1,
    "reload_dataloaders_every_n_epochs": 0, "gradient_clip_val": 0.0,
}  # fmt: skip
SHARES = ("val_check_interval", "overfit_batches", *(f"limit_{one}_batches" for one in ("train", "val", "test")))
OF_THE_RUN = ("callbacks", "logger", "plugins", "default_root_dir", "enable_checkpointing", "use_distributed_sampler")
BY_STEPS = {"gradient_clip_val": 0, "accumulate_grad_batches": 1}  # of gradient descent; and what does nothing
UNFIT = {
    "BackboneFinetuning": "strategy=lp_ft, gradual or finetune train the backbone", "BaseFinetuning": "take a strategy",
    "StochasticWeightAveraging": "callbacks=[default,ema] averages weights, and measures the average",
    "WeightAveraging": "callbacks=[default,ema] averages weights", "BatchSizeFinder": "choose data.batch_size by hand",
    "EMAWeightAveraging": "callbacks=[default,ema] averages weights", "ModelPruning": "its checkpoints can't be loaded",
    "GradientAccumulationScheduler": "+trainer.accumulate_grad_batches=2 holds for all epochs",
    "SpikeDetection": "a loss that is no number ends a run anyway",
    "LearningRateFinder": "scripts/find_lr.py searches for a model.lr, which the run then keeps",
}  # fmt: skip


def check_trainer(cfg: DictConfig, solves: bool) -> None:
    """Raise UserError that names the key; `solves` is whether nothing is trained by gradient descent."""
    trainer = {str(name): value for name, value in cfg.trainer.items()}
    for name in OF_THE_RUN:
        if name in trainer:
            raise UserError(f"trainer.{name} is set by the run: leave it out, and see conf/callbacks and conf/logger")
    if trainer.get("barebones"):
        raise UserError("+trainer.barebones=true leaves no metrics and no checkpoints to a run: leave it out")
    for name, value in trainer.items():
        if name in CHOICES and not OmegaConf.is_config(value):
            _check_choice(name, value)
        elif name in SHARES:
            _check_share(name, value)
        elif name in LEAST and value is not None and (isinstance(value, bool) or value < LEAST[name]):
            raise UserError(f"trainer.{name}={value} must be a number from {LEAST[name]} up")
    if trainer.get("accelerator") == "cpu" and trainer.get("precision") != "auto":  # which asks torch
        chosen_precision(trainer.get("precision"), "cpu")
    for name, nothing in BY_STEPS.items():
        if solves and trainer.get(name) not in (None, nothing):
            raise UserError(f"trainer.{name} is for gradient descent, and solver=lbfgs has none: add solver=adamw")
    for name, node in cfg.callbacks.items():
        module, _, kind = str(node and node.get("_target_")).rpartition(".")
        if module.startswith("lightning.pytorch.callbacks") and kind in UNFIT:
            raise UserError(f"callbacks.{name}: {kind} doesn't go with how a run trains and goes on; {UNFIT[kind]}")


def check_sharing(cfg: DictConfig) -> None:
    """Raise UserError where a Trainer shall share out a model of which little, or now this and now that, is trained."""
    strategy = cfg.model.strategy
    if OmegaConf.is_config(cfg.trainer.get("strategy")) and (not strategy or strategy.get("unfreeze_every")):
        raise UserError(
            "trainer=fsdp is for a backbone that is trained from the first step to the last: add strategy=finetune or "
            "another such, or take trainer=ddp"
        )


def _check_choice(name: str, value: object) -> None:
    choices = CHOICES[name]
    if value in choices or (name == "accelerator" and value == "tpu" and find_spec("torch_xla")):
        return
    names = [str(choice).lower() for choice in choices if choice not in SHORT]
    names += ["null"] if name in ("profiler", "gradient_clip_algorithm") else []
    why = " would convert the head and the loss, which keep 32 bits" if str(value) in WHOLE else ""
    hint = "" if why else did_you_mean(str(value), names)
    raise UserError(f"trainer.{name}={value}{why}: {hint}choose {', '.join(names[:-1])} or {names[-1]}")


def _check_share(name: str, value: object) -> None:
    if name in ("limit_train_batches", "limit_val_batches") and value == 0:
        split = name.split("_")[1]
        raise UserError(f"trainer.{name}={value} leaves no {split} images: give a number from 1 up")
    least = 1 if name == "val_check_interval" else 0  # which may also be a time
    is_share = isinstance(value, float) and 0 <= value <= 1 and (value or not least)
    if isinstance(value, int | float) and (
        isinstance(value, bool) or not (is_share or (type(value) is int and value >= least))
    ):
        raise UserError(
            f"trainer.{name}={value}: give a fraction up to 1.0, or a whole number of batches from {least} up"
        )
