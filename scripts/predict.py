"""Say what images show: `python scripts/predict.py RUN IMAGES...` writes a table with a row for each image.

RUN is the folder of a run or a sweep (its best run), a checkpoint, or latest. IMAGES are files, folders with all that
lies in them, and globs. The columns are path, class, probability, error, then class_2, probability_2 and so on. A
broken image is a row with its error; the others go on, and the exit code is 1.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from headstart.errors import UserError, listed, readable_errors
from headstart.extras.serving.copies import Copies, refuse_inside
from headstart.extras.serving.image_files import find_images
from headstart.extras.serving.rows import DEFAULT, UNSURE, Row, columns_of, place_for, writing
from headstart.extras.serving.summary import Summary
from headstart.machine import prepare_process, quick_imports, terminal
from headstart.runs import Run, find_run

if TYPE_CHECKING:
    from headstart.predictor import Predictor


def main(arguments: list[str]) -> None:
    """Predict, write, copy, and say what came of it."""
    typed = parse(arguments)
    images, run, output = find_images(typed.images), find_run(typed.run), place_for(typed.output)
    if typed.copy_to:
        refuse_inside(typed.copy_to, typed.images)
    with quick_imports():
        from headstart.predictor import load

    prepare_process()
    predictor = load(run.checkpoint)
    if typed.min_confidence is not None and UNSURE in predictor.classes:
        raise UserError(f"--min-confidence calls images {UNSURE}, and the model has a class of that name: leave it out")
    if typed.calibrated:
        predictor.temperature = calibrated(run, predictor.classes)
    columns = columns_of(min(typed.top, len(predictor.classes)), typed.min_confidence is not None)
    summary, replaced, verdicts = Summary(), output.exists(), []
    with writing(output, columns) as write:
        for row in predicted(predictor, images, typed.top, typed.min_confidence or 0.0):
            write(row.values(columns))
            summary.add(row)
            verdicts.append(row.verdict)
    if typed.copy_to:
        copy(images, verdicts, Copies(typed.copy_to, [*predictor.classes, UNSURE]))
    show(summary, predictor.classes, output, replaced)


def parse(arguments: list[str]) -> argparse.Namespace:
    """What was typed; a mistake is one line, and ends the process with 2."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("images", nargs="+", metavar="IMAGES")
    out = f"a .csv, .parquet or .json file, replaced if it is there (default: {DEFAULT}, or {DEFAULT[:-4]}_2.csv, ...)"
    parser.add_argument("--output", metavar="FILE", help=out)
    parser.add_argument("--top", type=whole, default=3, metavar="N", help="how many classes a row names (default: 3)")
    fitted = "divide the logits by a temperature that is fitted on the run's validation images"
    parser.add_argument("--calibrated", action="store_true", help=fitted)
    unsure = f"call an image {UNSURE} below this probability; the column likeliest keeps its class"
    parser.add_argument("--min-confidence", type=share, metavar="P", help=unsure)
    copies = "copy every image into a folder of its class in there; nothing is moved or overwritten"
    parser.add_argument("--copy-to", type=Path, metavar="FOLDER", help=copies)
    typed = parser.parse_intermixed_args(arguments)
    typed.copy_to = typed.copy_to and typed.copy_to.expanduser()
    return typed


class Parser(argparse.ArgumentParser):
    """One whose mistakes take one line."""

    def error(self, message: str) -> NoReturn:
        """Say it."""
        self.exit(2, f"error: {message}; --help says more\n")


def whole(text: str) -> int:
    """A number from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} must be a whole number from 1 up")
    return int(text)


def share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} must be a number from 0 to 1")
    return value


def predicted(predictor: "Predictor", images: list[str], top: int, least: float) -> Iterator[Row]:
    """A row for each image, in order."""
    from rich.progress import track

    hidden, count = not sys.stdout.isatty(), min(top, len(predictor.classes))
    for found in track(predictor.each(images), "Predicting", total=len(images), disable=hidden):
        if found.probabilities is None:
            yield Row(found.path, error=found.error)
            continue
        best = found.probabilities.topk(count)
        names = [predictor.classes[number] for number in best.indices.tolist()]
        yield Row(found.path, names, best.values.tolist(), decided=best.values[0].item() >= least)


def calibrated(run: Run, classes: tuple[str, ...]) -> float:
    """The temperature for a run's model; says what calibration error it leaves."""
    import numpy as np

    from headstart.extras.serving.calibration import at_temperature, fit_temperature
    from project.reporting.numbers import reliability
    from project.reporting.run_folder import PREDICTIONS, RunFolder

    if not run.folder or not run.is_best:
        raise UserError(f"--calibrated is for a run's best checkpoint: {run.checkpoint} lies in no run, or is another")
    folder = RunFolder(run.folder)
    try:
        known = {split: (folder.probabilities(split), found.labels) for split, found in folder.splits.items()}
    except (OSError, ValueError, LookupError) as error:
        raise UserError(f"{run.folder / PREDICTIONS} can't be read ({' '.join(str(error).split())})") from error
    if "val" not in known or folder.classes != classes:
        raise UserError(f"--calibrated needs the model's validation predictions: there are none in {run.folder}")
    temperature = fit_temperature(*known["val"])
    for split, (probabilities, labels) in known.items():
        errors = [
            reliability(some.max(axis=1), some.argmax(axis=1) == labels).ece
            for some in (probabilities.astype(np.float64), at_temperature(probabilities, temperature))
        ]
        before, after = (f"{one:.4f}" for one in errors)
        said = f"temperature {temperature:.3f}: expected calibration error {before} before, {after} after"
        terminal(soft_wrap=True).print(f"{said} ({split}, {len(labels):,} images)")
    return temperature


def copy(images: list[str], verdicts: list[str], copies: Copies) -> None:
    """Copy all but broken images."""
    from rich.progress import track

    pairs = [pair for pair in zip(images, verdicts, strict=True) if pair[1]]
    for image, verdict in track(pairs, "Copying", disable=not sys.stdout.isatty()):
        copies.add(image, verdict)
    terminal(soft_wrap=True).print(f"{copies.folder}: {len(pairs):,} copies in folders by class")


def show(summary: Summary, classes: tuple[str, ...], output: Path, replaced: bool) -> None:
    """Print how many images there are of which class, and where the table is; raises UserError for broken ones."""
    total, broken = sum(summary.images.values()), summary.images[""]
    terminal().print(summary.table(classes))
    terminal(soft_wrap=True).print(f"{output}: {total:,} images{', in place of the file before' if replaced else ''}")
    if broken:
        raise UserError(f"{broken:,} of {total:,} images are broken: see the column error of {listed([output])}")


if __name__ == "__main__":
    with readable_errors():
        main(sys.argv[1:])
