"""`resume=RUN`: the command line that goes on with a run is the run's own, plus what was typed now."""

from pathlib import Path

from omegaconf import OmegaConf

KEY = "resume="


def expand_resume(arguments: list[str]) -> list[str]:
    """Put the overrides and the folder of the run that `resume=RUN` names into a command line's arguments.

    Raises:
        ValueError: RUN is not the folder of a run that has something to go on from.
    """
    runs = [argument.removeprefix(KEY).strip("'\"") for argument in arguments if argument.startswith(KEY)]
    if not runs or runs[-1] in ("", "null"):
        return arguments
    run_dir = Path(runs[-1])
    if not (run_dir / "checkpoints" / "last.ckpt").exists():
        raise ValueError(f"there is nothing to resume in {run_dir}: no checkpoints/last.ckpt")
    typed = [argument for argument in arguments if not argument.startswith(KEY)]
    # Quoted, for Hydra: a folder's name may hold spaces and brackets.
    typed += [f"{KEY}'{run_dir}'", f"hydra.run.dir='{run_dir}'"]
    return merge_overrides(run_overrides(run_dir), typed)


def run_overrides(run_dir: Path) -> list[str]:
    """The overrides that a run was started with; raises ValueError where there is no run."""
    path = run_dir / ".hydra" / "overrides.yaml"
    if not path.exists():
        raise ValueError(f"{run_dir} is not the folder of a run: there is no {path}")
    return [str(override) for override in OmegaConf.load(path)]


def merge_overrides(old: list[str], new: list[str]) -> list[str]:
    """`new` wins: over the same key, and `data=folder` over every old `data=` and `data.*=`."""
    keys = {_key(override) for override in new}
    return [override for override in old if not _is_replaced(_key(override), keys)] + new


def _key(override: str) -> str:
    return override.split("=", maxsplit=1)[0].lstrip("+~")


def _is_replaced(key: str, keys: set[str]) -> bool:
    return key in keys or key.split(".")[0] in keys
