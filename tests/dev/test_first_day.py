"""What owners do first in a copy: what the tests say of the rest stays true."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from copies import copy_of_the_project, run

EXPERIMENT = """# @package _global_
# command: python train.py experiment=mine
data: {batch_size: 16}
model: {optimizer: {_target_: torch.optim.NAdam}}
trainer: {max_epochs: 3}
"""
METRIC = """            "top2": MulticlassAccuracy(num_classes, average="micro", top_k=min(2, num_classes)),
"""


def edit(path: Path, change: Callable[[str], str]) -> None:
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before, path


def own(project: Path) -> None:
    """Throw the example away; add a head, an experiment, a loss, a metric, a resolver; change main.py and defaults."""
    shutil.rmtree(project / "src/project/data/shapes")
    for name in ("conf/data/shapes.yaml", "tests/project/test_shapes.py", "conf/experiment/random_weights.yaml"):
        (project / name).unlink()
    edit(project / "conf/train.yaml", lambda text: text.replace("data: shapes", "data: folder"))
    edit(project / "conf/train.yaml", lambda text: text.replace("project: headstart", "project: birds"))
    (project / "conf/experiment/mine.yaml").write_text(EXPERIMENT)
    (project / "conf/head/bare.yaml").write_text("_target_: torch.nn.Linear\n_partial_: true\n")
    classifier = project / "src/project/model/classifier.py"
    metrics = project / "src/project/model/metrics.py"
    edit(metrics, lambda text: text.replace('            "f1":', f'{METRIC}            "f1":'))
    edit(classifier, lambda text: text.replace("loss = F.cross_entropy(", "loss = 2 * F.cross_entropy(", 1))
    edit(project / "conf/solver/adamw.yaml", lambda text: text.replace("torch.optim.AdamW", "torch.optim.RAdam"))
    main = project / "src/project/main.py"
    edit(
        main,
        lambda text: text.replace("    images = build.images(", '    print("mine")\n    images = build.images(', 1),
    )
    edit(
        project / "train.py",
        lambda text: re.sub(
            "^@hydra.main",
            'OmegaConf.register_resolver("twice", lambda x: 2 * x, replace=True)\n\n\n@hydra.main',
            text,
            flags=re.MULTILINE,
        ).replace("import DictConfig", "import DictConfig, OmegaConf"),
    )


@pytest.mark.slow
def test_the_rest_stays_green(tmp_path: Path, images: Path) -> None:
    project = copy_of_the_project(tmp_path / "project")
    own(project)
    typed = ["data.root=" + str(images), "trainer.accelerator=cpu", "logger=none", "patience=${twice:2}"]
    said = run(project, "train.py", "experiment=mine", *typed, "head=bare", "monitor=val/top2", "solver=adamw")
    assert "mine" in said
    assert "top2" in said
    some = "(test_config and not backbones) or test_classifier or leaves_behind"  # all others are collected
    tests = "tests/headstart", "tests/project"
    done = run(project, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-k", some, "-m", "not slow", *tests)
    assert re.search(r"^([4-9]\d|\d{3}) passed", done, re.MULTILINE), done
