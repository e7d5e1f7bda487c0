"""Does the doctor find what was spoilt? `python scripts/dev/doctor_proof.py ROOT [FOLDER]` spoils a copy of images.

ROOT holds train/, test/ and maybe validation/. Three copies are made in FOLDER: as they are; with 5 % of the
training labels changed, by a seed; and with 24 images put under a second label, a third of them as they are, a third
compressed again, a third smaller. Printed is how many of the changed labels stand among the first rows of kind label;
test accuracy clean, spoilt, and with data.fixes made of the truth; how many of the 24 are named; and how long it
takes, in warm runs (one that recomputes labels alone).
"""

import csv
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from headstart.extras.doctor.files import CSV
from headstart.machine import terminal

SHARE, COPIES, SEED = 0.05, 24, 0
ROOT = Path(__file__).parents[2]
Row = dict[str, str]


def change_labels(folder: Path, seed: int) -> list[Row]:
    """Move a share of the training images into another class's folder; returns what data.fixes has to say of it."""
    rng, images = random.Random(seed), sorted(folder.glob("train/*/*"))
    classes = sorted({path.parent.name for path in images})
    fixes = []
    for path in rng.sample(images, round(SHARE * len(images))):
        wrong = rng.choice([name for name in classes if name != path.parent.name])
        moved = path.rename(path.parents[1] / wrong / f"changed_{path.name}")
        fixes.append({"path": str(moved), "suggested": path.parent.name, "action": "relabel"})
    return fixes


def copy_images(folder: Path, seed: int) -> list[tuple[str, str]]:
    """Put images under a second label, also in other splits; returns the paths of each and its copy."""
    rng, images = random.Random(seed), sorted(path for path in folder.glob("*/*/*") if path.is_file())
    classes = sorted({path.parent.name for path in images})
    pairs = []
    for number, path in enumerate(rng.sample(images, COPIES)):
        wrong = rng.choice([name for name in classes if name != path.parent.name])
        copy = folder / "train" / wrong / f"copy_{number}.jpg"
        with Image.open(path) as image:
            if number % 3 == 0:
                shutil.copy(path, copy)
            elif number % 3 == 1:
                image.convert("RGB").save(copy, quality=60)
            else:
                image.convert("RGB").resize((image.width * 2 // 3, image.height * 2 // 3)).save(copy, quality=90)
        pairs.append((str(path), str(copy)))
    return pairs


def train(root: Path, run: Path, *more: str) -> tuple[float, float]:
    """The test accuracy of a run, and its seconds."""
    seconds = run_script("train.py", *data(root), f"hydra.run.dir={run}", "logger=none", *more)
    return json.loads((run / "results.json").read_text())["metrics"]["test/accuracy"], seconds


def doctor(run: Path) -> tuple[list[Row], float]:
    """The rows of a run's doctor.csv, and the seconds that it took."""
    seconds = run_script("scripts/doctor.py", str(run))
    with (run / CSV).open(newline="") as file:
        return list(csv.DictReader(file)), seconds


def data(root: Path) -> list[str]:
    """The overrides for images in class folders."""
    return ["data=folder", f"data.root={root}", f"data_dir={root.parent / 'data'}"]


def run_script(*arguments: str) -> float:
    """Run one of the project's scripts; returns its seconds."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def prove(root: Path, folder: Path) -> dict[str, Any]:
    """Spoil, train, examine and count."""
    for name in ("clean", "labels", "copies"):
        shutil.copytree(root, folder / name)
    fixes, pairs = change_labels(folder / "labels", SEED), copy_images(folder / "copies", SEED)
    with (folder / "fixes.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(fixes[0]))
        writer.writeheader()
        writer.writerows(fixes)
    clean, _ = train(folder / "clean", folder / "clean_run")
    spoilt, _ = train(folder / "labels", folder / "labels_run")
    fixed, warm = train(folder / "labels", folder / "fixed_run", f"data.fixes={folder / 'fixes.csv'}")
    rows, seconds = doctor(folder / "labels_run")
    doubted = [row["path"] for row in rows if row["kind"] == "label"]
    changed, first = {fix["path"] for fix in fixes}, 2 * len(fixes) - 6
    train(folder / "copies", folder / "copies_run")
    named = {row["path"] for row in doctor(folder / "copies_run")[0] if row["kind"] in ("duplicate", "leak")}
    return {
        "changed labels": len(changed),
        f"among the first {first}": len(changed & set(doubted[:first])),
        "test accuracy, clean": clean,
        "test accuracy, spoilt": spoilt,
        "test accuracy, with data.fixes": fixed,
        "second labels": len(pairs),
        "named": sum(set(pair) <= named for pair in pairs),
        "the doctor in warm runs": round(seconds / warm, 2),
    }


def main(arguments: list[str]) -> None:
    """Print what came out."""
    if not arguments or arguments[0].startswith("-"):
        terminal(soft_wrap=True).print(__doc__)
        return
    folder = Path(arguments[1] if len(arguments) > 1 else tempfile.mkdtemp()).resolve()
    for name, value in prove(Path(arguments[0]).resolve(), folder).items():
        terminal().print(f"{name}: {value}")


if __name__ == "__main__":
    main(sys.argv[1:])
