"""What comes of what is typed: for a run that goes on, key by key; for a test of it; and where nothing does."""

from collections.abc import Iterable, Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ..errors import UserError, listed
from .trusted import leaves

AT_ONCE, TRAINING, COMPARED, FIXED = "holds at once", "holds from the next step on", "is compared", "is refused"
# What another value of a key means for a run that has trained. The longest name decides that is the key, or that the
# key is below; what has none, as an owner's own, holds from the next step on.
ON_RESUME = {
    AT_ONCE: (
        "project", "monitor", "mode", "progress", "resume", "run_dir", "sweep_dir", "data_dir", "logger", "trainer",
        "model.monitor", "features.verify", "features.dir", "features.engine", "plots",
    ),
    TRAINING: (  # refused where nothing is left to train
        "patience", "augment", "callbacks", "model", "features.views", "data.balance", "data.shuffle",
        "model.strategy.decay", "model.strategy.head_scale", "model.strategy.unfreeze_every",
        *(f"trainer.{key}_{what}" for key in ("min", "max") for what in ("epochs", "steps")), "trainer.max_time",
        "trainer.gradient_clip_val", "trainer.gradient_clip_algorithm", "trainer.val_check_interval",
        "trainer.check_val_every_n_epoch",
    ),
    COMPARED: ("data", "backbone.name", "backbone.weights", "backbone.seed"),  # images, and the weights' digest
    FIXED: (  # by what the checkpoint holds, or by how many steps an epoch has
        "seed", "norm", "head", "best", "backbone", "model._target_", "model.optimizer", "model.strategy",
        "callbacks.model_checkpoint.monitor", "callbacks.model_checkpoint.mode", "callbacks.ema._target_",
        "features.cache", "features.batch_size", "data.batch_size", "trainer.accumulate_grad_batches",
        "trainer.limit_train_batches", "trainer.limit_val_batches", "trainer.overfit_batches", "trainer.fast_dev_run",
    ),
}  # fmt: skip
FEATURES = ("features.dir", "features.verify", "features.engine")
TESTED = ("data", "data_dir", "features.cache", *FEATURES, "trainer")  # by evaluate.py
NEUTRAL = {"backbone.freeze": (None, "all"), "backbone.seed": (0,), "features.views": (1,)}  # as good as not said


def on_resume(key: str) -> str:
    """Which of the four comes of another value of `key`, such as `model.lr`, where a run goes on."""
    known = {name: what for what, names in ON_RESUME.items() for name in names}
    return known.get(key) or (on_resume(key.rpartition(".")[0]) if "." in key else TRAINING)


def changes(then: dict[str, Any], now: DictConfig, *kinds: str) -> list[str]:
    """`key=value (was value)` of what is of these kinds and differs in effect, interpolations and all."""
    old, new = dict(_in_effect(OmegaConf.create(then))), dict(_in_effect(now))
    keys = [key for key in {**new, **old} if old.get(key) != new.get(key) and on_resume(key) in kinds]
    return [f"{key}={new.get(key, 'nothing')} (was {old.get(key, 'nothing')})" for key in keys]


def refuse_fixed(then: dict[str, Any], now: DictConfig) -> None:
    """Raise UserError where a run that has trained shall go on with what it can't change any more."""
    if fixed := changes(then, now, FIXED):
        raise UserError(
            f"a run that has trained can't go on with {listed(fixed, 3)}: leave it out, or start a new run, without "
            "resume="
        )


def refuse_idle(typed: Iterable[str], cfg: DictConfig) -> None:
    """Raise UserError for a key that was typed where nothing comes of it, as something else has decided."""
    found = {key: why for keys, why, holds in _idle(cfg) if holds for key in keys}
    for key in typed:
        value = OmegaConf.select(cfg, key) if key in found else None
        if key in found and value not in NEUTRAL.get(key, ()):
            raise UserError(f"{key}={value} does nothing here, as {found[key]}: leave it out")


def refuse_untested(typed: Iterable[str]) -> None:
    """Raise UserError for what a test of a checkpoint doesn't look at: the model is as it was trained."""
    for key in typed:
        names = [key.rsplit(".", count)[0] for count in range(key.count(".") + 1)]
        fits = key.startswith("trainer.") and on_resume(key) in (TRAINING, FIXED)
        if fits or not set(names) & set(TESTED):
            raise UserError(
                f"{key}=... does nothing here, as a checkpoint is tested as it was trained: leave it out; "
                "data and trainer are for this script"
            )


def is_live(cfg: Any) -> bool:
    """Whether every epoch sees the images anew, so that no features are kept: see `conf/train.yaml`."""
    cache = cfg["features"]["cache"]
    return bool(cfg["model"].get("strategy")) or cache is False or (cache == "auto" and varies(cfg))


def varies(cfg: Any) -> bool:
    """Whether augmentation changes the images."""
    return any(value for key, value in cfg["augment"].items() if not str(key).startswith("_"))


def solves(cfg: Any) -> bool:
    """Whether the head is solved for, on all images at once, and not trained by gradient descent."""
    return "optimizer" not in cfg["model"] or "strongest" in cfg["model"]


def _in_effect(cfg: DictConfig) -> Iterator[tuple[str, Any]]:
    """All keys and values, with what the features come from, and without the batch size that no step depends on."""
    live, unused = is_live(cfg), {"features.cache", "features.batch_size", "data.batch_size"}
    if not solves(cfg):
        unused.discard("data.batch_size" if live else "features.batch_size")
    values = OmegaConf.to_container(cfg, resolve=True)
    named = ((".".join(map(str, key)), value) for key, value in leaves(values))
    yield from ((key, value) for key, value in named if key not in unused)
    yield "features.cache", not live


def _idle(cfg: DictConfig) -> list[tuple[tuple[str, ...], str, bool]]:
    """Keys, why nothing comes of them, and whether that is so."""
    live, strategy = is_live(cfg), cfg.model.get("strategy")
    kept = ("features.views", "features.batch_size", *FEATURES)
    watched = any("${patience}" in str(value) for _, value in leaves(OmegaConf.to_container(cfg.callbacks)))
    select = OmegaConf.select
    return [
        (("backbone.freeze",), "strategy=frozen trains none of the backbone", not strategy),
        (("backbone.seed",), "it draws random weights, backbone.weights=null", bool(select(cfg, "backbone.weights"))),
        (kept, "every epoch sees the images anew", live and not (strategy and strategy.get("head_first"))),
        (("features.batch_size",), "solver=lbfgs takes all images at once", solves(cfg) and not strategy),
        (("data.shuffle",), "features are computed once", not live),
        (("data.val_fraction",), "data.folds says what is validated on", bool(select(cfg, "data.folds"))),
        (("patience",), "no callback looks at it (callbacks=early_stopping does)", not watched),
    ]
