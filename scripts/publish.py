"""Put a run's model into a folder as Hugging Face's Hub has them, and upload it: `python scripts/publish.py RUN`.

RUN is a run's folder, a sweep's (its best run), a checkpoint, or latest. The folder holds the weights, how images are
prepared, a model card, and load.py, which makes predictions without this project.
"""

import argparse
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.errors import readable_errors
from headstart.extras.serving.about import UNKNOWN
from headstart.machine import quick_imports, terminal
from headstart.runs import Run, find_run

if TYPE_CHECKING:
    from headstart.extras.serving.publishing.card import Card

FOLDER = "published"
DRAWN = ("history", "confusion_matrix", "class_f1", "reliability")  # of the figures, those without anybody's images


def main() -> None:
    """Write the folder, say where it is, and upload it if that was asked for."""
    told = arguments()
    run = find_run(told.run)
    place = Path(told.to or (run.folder or run.checkpoint.parent) / FOLDER).expanduser().absolute()
    with quick_imports():
        from headstart.extras.serving.about import about
        from headstart.extras.serving.publishing.folder import publish, refuse_to_replace
        from headstart.extras.serving.publishing.hub import check_repo, upload
        from headstart.predictor import load_classifier

    if told.hub:
        check_repo(told.hub)
    refuse_to_replace(place)
    console = terminal(soft_wrap=True)
    with console.status(f"writing {place}"):
        model = load_classifier(run.checkpoint)
        publish(place, model, card_of(run, told), about(run, model), figures_of(run))
    console.print(str(place))
    if told.hub:
        console.print(upload(place, told.hub, told.public))


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--to", metavar="FOLDER", help="where to (default: RUN/published)")
    parser.add_argument("--hub", metavar="USER/NAME", help="upload it there, too; sign in first, by `hf auth login`")
    parser.add_argument(
        "--public", action="store_true", help="for all to see, where it is new on the Hub (else private)"
    )
    parser.add_argument(
        "--license", default=UNKNOWN, help="of the model, as the Hub abbreviates it: mit, cc-by-4.0, ..."
    )
    parser.add_argument("--data-license", default=UNKNOWN, help="of the images that it was trained on")
    return parser.parse_args()


def card_of(run: Run, told: argparse.Namespace) -> "Card":
    """What the run's folder says about its model, for the card."""
    from headstart.extras.serving.publishing.card import Card
    from headstart.predictor import MODEL
    from project.reporting.numbers import class_scores
    from project.reporting.run_folder import RunFolder

    title = told.hub.split("/")[1] if told.hub else Path(told.to).absolute().name if told.to else "Image classifier"
    code: Any = next(iter(entry_points(group=MODEL))).dist
    said = {
        "title": title,
        "repo": told.hub,
        "license": told.license,
        "data_license": told.data_license,
        "code_license": code.metadata.get("License-Expression") or UNKNOWN,
    }
    if run.folder is None:
        return Card(**said)
    folder = RunFolder(run.folder)
    scores = class_scores(folder.confusions, len(folder.classes))
    rows = list(zip(*(one.tolist() for one in scores), strict=True)) if len(folder.confusions) else []
    return Card(
        **said,
        precision=run.results.get("hardware", {}).get("precision", ""),
        strategy=folder.choices.get("strategy", ""),
        counts=run.results.get("images", {}),
        split=folder.split or "",
        scores=rows,
        **calibration_of(folder),
    )


def calibration_of(folder: Any) -> dict[str, Any]:
    """The temperature that the run's validation images want, and the calibration error without and with it."""
    from headstart.extras.serving.calibration import at_temperature, fit_temperature
    from project.reporting.numbers import reliability

    if "val" not in folder.splits:
        return {}
    temperature = fit_temperature(folder.probabilities("val"), folder.splits["val"].labels)
    found, measured = folder.probabilities(folder.split), folder.splits[folder.split]
    errors = [reliability(p.max(axis=1), measured.right).ece for p in (found, at_temperature(found, temperature))]
    return {"temperature": temperature, "ece": tuple(errors)}


def figures_of(run: Run) -> dict[str, Any]:
    """The run's figures by name, each of which draws itself into a file."""
    from project.reporting.figures import FIGURES
    from project.reporting.plots.style import save_png
    from project.reporting.run_folder import RunFolder

    if run.folder is None:
        return {}
    folder = RunFolder(run.folder)
    drawn = {draw.__name__: folder.figure(draw) for draw in FIGURES if draw.__name__ in DRAWN}
    return {name: partial(save_png, figure) for name, figure in drawn.items() if figure}


if __name__ == "__main__":
    with readable_errors():
        main()
