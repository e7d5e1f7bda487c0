"""Write a trained model as files for other runtimes: `python scripts/export.py RUN --format onnx,openvino`.

RUN is a run's folder, a sweep's (its best run), a checkpoint, or latest. The formats are pt (the whole nn.Module),
state_dict, safetensors, torch_export, onnx and openvino; --int8 makes smaller and faster ones beside those of onnx and
openvino. Each file is loaded by its own runtime and compared with the model on its test images, before it is kept.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.progress import Progress
from rich.table import Table

from headstart.errors import UserError, readable_errors
from headstart.extras.serving.export.formats import FORMATS, chosen, writable
from headstart.machine import quick_imports, terminal
from headstart.runs import Run, find_run

MOST = 5000  # test images, drawn evenly
FOLDER = "export"


def main() -> None:
    """Say what can't work at once; then export, and print a table of what was measured."""
    arguments = parsed()
    names = chosen([name for names in arguments.format for name in names.split(",") if name], arguments.int8)
    run = find_run(arguments.run)
    if arguments.int8 and not (run.folder and (run.folder / ".hydra").is_dir()):
        raise UserError(f"{arguments.run}: --int8 takes the training images of a run, and this is a checkpoint alone")
    folder = writable(Path(arguments.to or (run.folder or run.checkpoint.parent) / FOLDER).expanduser())
    outcomes = export(run, names, folder)
    if any(outcome.error for outcome in outcomes):
        sys.exit(1)


def parsed() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument(
        "--format", required=True, action="append", help=f"{', '.join(FORMATS)}; several with commas, or repeated"
    )
    parser.add_argument("--int8", action="store_true", help="of onnx and openvino, calibrated on training images")
    parser.add_argument("--to", metavar="FOLDER", help="where the files shall lie (default: RUN/export)")
    return parser.parse_args()


def export(run: Run, names: list[str], folder: Path) -> list[Any]:
    """Export, under a progress bar; returns what became of each format."""
    with quick_imports():
        from headstart.extras.serving.about import about
        from headstart.extras.serving.export import files, measuring, quantised, writers
        from headstart.extras.serving.plain import plain_network
        from headstart.machine import prepare_process
        from headstart.predictor import FLOAT32, Predictor, load_classifier

    prepare_process()
    model = load_classifier(run.checkpoint)
    source = writers.Source(model, plain_network(model), about(run, model), run.checkpoint)
    images, labels, said = test_images(run, model.preprocessing.crop)
    predictor = Predictor(load_classifier(run.checkpoint), FLOAT32)
    int8 = any(name not in FORMATS for name in names)
    calibration = quantised.calibration_images(predictor, training_images(run)) if int8 else None
    outcomes, console = [], terminal(stderr=True)
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("PyTorch", total=len(names) * len(images))
        reference = measuring.Reference(predictor, images, labels)
        for number, outcome in enumerate(
            files.export(names, source, reference, folder, calibration, lambda done: progress.advance(bar, done))
        ):
            outcomes.append(outcome)
            progress.update(bar, completed=(number + 1) * len(images), description=outcome.name)
    show(outcomes, f"compared on {said}{accuracies(run, said, reference.accuracy)}")
    return outcomes


def test_images(run: Run, crop: int) -> tuple[list[Any], Any, str]:
    """Images to compare on, their labels, and which they are: the run's test images, other ones, or random ones."""
    from headstart.extras.serving.export.measuring import random_images
    from project.reporting.run_folder import RunFolder

    said = RunFolder(run.folder) if run.folder else None
    if said and said.split:
        split = said.splits[said.split]
        there = [i for i, path in enumerate(split.paths) if Path(path).is_file()]
        there = there[:: -(-len(there) // MOST)] if there else []
        if there:
            count = f"{len(there)} of {len(split.paths)}" if len(there) < len(split.paths) else f"{len(there)}"
            return [str(split.paths[i]) for i in there], split.labels[there], f"{count} {said.split} images"
    samples = [path for path, _ in run.results.get("samples", ()) if Path(path).is_file()]
    if samples:
        return samples, None, f"{len(samples)} of the training images"
    return random_images(crop), None, "random images, as there are no others"


def training_images(run: Run) -> list[str]:
    """The paths of a run's training images; raises UserError where there are none."""
    from headstart.resume.going_on import going_on
    from headstart.resume.quoting import quoted
    from project import TRUSTED, build

    assert run.folder
    with going_on(run.folder, [f"run_dir={quoted(str(run.folder))}", "sweep_dir=null"], TRUSTED) as cfg:
        table = build.images(cfg).table
    paths = [sample.path for sample in table.train if Path(sample.path).is_file()] if table else []
    if not paths:
        raise UserError(f"{run.folder}: --int8 takes training images, and this run's are no files that are there")
    return paths


def accuracies(run: Run, images: str, in_float32: float | None) -> str:
    """What the run says of the images that were compared, if they were all of a split; and the model in float32."""
    if in_float32 is None:
        return ""
    split = images.split()[1]
    known = run.results.get("metrics", {}).get(f"{split}/accuracy") if images.split()[2:] == ["images"] else None
    own = f"accuracy of the run, in {run.precision}: {known:.4f}; the same model" if known else "the model itself"
    return f"; {own} in float32: {in_float32:.4f}"


def show(outcomes: list[Any], compared: str) -> None:
    """Print the table, what went wrong, and where the files are."""
    console = terminal(width=None if sys.stdout.isatty() else 160, soft_wrap=True)
    table = Table("format", "file", "MB", "largest difference", "accuracy", "images/s", "PyTorch's beside it")
    for one in outcomes:
        if one.measured:
            right = "" if one.measured.accuracy is None else f"{one.measured.accuracy:.4f}"
            numbers = f"{one.megabytes:.1f}", f"{one.measured.difference:.1e}", right
            rates = f"{one.measured.rate:.0f}", f"{one.measured.beside:.0f}"
            table.add_row(one.name, one.files[-1].name if one.files else "", *numbers, *rates)
    console.print(table)
    console.print(compared)
    for one in outcomes:
        console.print(f"{one.name}: {one.error or one.files[-1]}")


if __name__ == "__main__":
    with readable_errors():
        main()
