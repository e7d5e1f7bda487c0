"""Test a run's best checkpoint, or any: `python scripts/evaluate.py RUN|CHECKPOINT [data=folder data.root=PATH ...]`.

RUN is the folder of a run or a sweep (its best run), or latest. Other data may have some of the model's classes only.

  --classes old=new,...  what the data's class names mean to the model
  --shift                the accuracy on blurred, noisy, compressed, dark and turned images, too

With any of these, or data, scores come by class, with their intervals, and lie in RUN/evaluations.
"""

import logging
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from headstart.errors import UserError, readable_errors
from headstart.machine import quick_imports, terminal
from headstart.resume.command_line import check, composed
from headstart.resume.going_on import going_on
from headstart.resume.quoting import as_typed, quoted
from headstart.resume.stored_config import key_of
from headstart.resume.trusted import note_typed
from headstart.resume.typed import refuse_untested
from headstart.runs import OF_A_SWEEP, find_run
from project import TRUSTED

if TYPE_CHECKING:
    from project.evaluation import Measured

CLASSES, SHIFT = "--classes", "--shift"
ROBUSTNESS = "headstart.extras.robustness"  # by its name: what is left of this script works without that extra
BATCH = 64


def main(arguments: list[str]) -> None:
    """Lay what was typed over the run's own config, and test the checkpoint on that."""
    if {"-h", "--help"} & set(arguments):
        terminal(soft_wrap=True).print(__doc__)
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    arguments, renamed, shift = take_options(arguments)
    place = Path(arguments[0] if arguments else "").expanduser()
    if not arguments or ((arguments[0].startswith("-") or "=" in arguments[0]) and not place.exists()):
        raise UserError("which run? python scripts/evaluate.py RUN|CHECKPOINT [data=folder data.root=PATH ...]")
    run_dir, checkpoint = find_checkpoint(place)
    typed = as_typed(arguments[1:])
    note_typed(typed)
    refuse_untested(map(key_of, typed))
    fixed = [f"run_dir={quoted(str(run_dir or place.parent))}", "sweep_dir=null"]  # what Hydra would say
    told = [*typed, *fixed]
    with going_on(run_dir, told, TRUSTED) if run_dir else composed(told, TRUSTED) as cfg:
        check(cfg)
        with quick_imports():
            from project.evaluation import evaluate  # torch, once the config is known to be right

        has_data = any(one.startswith("data") for one in typed) or bool(renamed)
        if has_data or shift:
            evaluate_by_class(cfg, checkpoint, has_data or run_dir is None, renamed, shift)
        else:
            evaluate(cfg, checkpoint, run_dir is None)


def take_options(arguments: list[str]) -> tuple[list[str], str, bool]:
    """What is left of the arguments, the value of `--classes`, joined if there are several, and whether to shift."""
    rest, renamed, shift = [], [], False
    waiting = iter(arguments)
    for argument in waiting:
        option, is_joined, value = argument.partition("=")
        if option == CLASSES:
            renamed.append(value if is_joined else next(waiting, ""))
            if not renamed[-1]:
                raise UserError(f"{CLASSES} wants old=new,...: what the data's class names mean to the model")
        elif argument == SHIFT:
            shift = True
        else:
            rest.append(argument)
    return rest, ",".join(renamed), shift


def find_checkpoint(place: Path) -> tuple[Path | None, Path]:
    """The run at `place`, or around a checkpoint there, and which one to test; no run for one that lies elsewhere."""
    if (str(place) == "latest" and not place.exists()) or any((place / sign).exists() for sign in OF_A_SWEEP):
        place = find_run(place).folder or place
    if not place.is_file():
        return place, place / "checkpoints" / "best.ckpt"
    return next((folder for folder in place.absolute().parents if (folder / ".hydra").is_dir()), None), place


def evaluate_by_class(cfg: DictConfig, checkpoint: Path, other_data: bool, renamed: str, shift: bool) -> None:
    """Measure, print, and write what came of it into a new folder."""
    from headstart.files import short
    from project.evaluation import measured
    from project.reporting import by_class
    from project.reporting.bootstrap import bootstrap
    from project.reporting.predictions import write_predictions

    shifts = robustness_of() if shift else None
    folder = by_class.own_folder(Path(cfg.run_dir) / "evaluations", time.strftime("%Y-%m-%d_%H-%M-%S"))
    try:
        found = measured(cfg, checkpoint, other_data, renamed)
        labels, classes = found.predictions.labels, found.model.classes
        scores = bootstrap(labels.numpy(), found.predictions.predicted.numpy())
        terminal().print(by_class.table_of(scores, classes))
        write_predictions(folder, {"test": found.predictions}, classes)
        content = by_class.content_of(scores, classes) | {"loss": found.metrics.get("test/loss")}
        content |= {"checkpoint": str(checkpoint), "renamed": renamed, "command": " ".join(sys.argv[1:])}
        path = by_class.write(folder, content)
        if shifts:
            rows = shifted(shifts, found)
            by_class.write(folder, content | {"shifts": [row._asdict() for row in rows]})
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()
    terminal(soft_wrap=True).print(f"{short(path)}: accuracy {scores.accuracy.value:.4f}")


def robustness_of() -> Any:
    """The extra that shifts images; raises UserError where it was deleted."""
    try:
        return import_module(ROBUSTNESS)
    except ModuleNotFoundError as error:
        raise UserError(f"{SHIFT} is what {ROBUSTNESS} does, which isn't there") from error


def shifted(shifts: Any, found: "Measured") -> list[Any]:
    """The accuracy with every shift, which is printed, too."""
    import torch
    from rich.progress import Progress
    from rich.table import Table

    from headstart.images.loading import threads
    from headstart.predictor import Predictor, parts

    paths, labels = found.predictions.paths, found.predictions.labels
    if not paths:
        raise UserError(f"{SHIFT} reads images again, and these have streamed by: unpack them into folders")
    predictor = Predictor(found.model, found.precision)
    with Progress(disable=not sys.stdout.isatty()) as bar:
        task = bar.add_task("Shifting images", total=len(paths))

        def batches() -> Any:
            for some, own in zip(parts(paths, BATCH), labels.split(BATCH), strict=True):
                yield torch.stack(list(threads().map(predictor.read, some))), own
                bar.advance(task, len(some))

        rows = shifts.robustness(predictor.probabilities, batches())
    table = Table("shift", "strength", "accuracy", "difference")
    for row in rows:
        table.add_row(row.shift, row.strength, f"{row.accuracy:.4f}", f"{row.difference:+.4f}" if row.strength else "")
    terminal().print(table)
    return rows


if __name__ == "__main__":
    with readable_errors():
        main(sys.argv[1:])
