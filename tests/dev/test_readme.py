"""What the README says can be typed."""

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from runs import DELETED, ROOT

from headstart.resume.going_on import expand_resume
from headstart.resume.quoting import as_typed
from headstart.resume.stored_config import merge_overrides

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
LINES = [line.split("  #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
LINES += re.findall(r"`((?:make|python) [^`]+)`", README.replace("\n", " "))

PATHS = re.findall(r"!\[.*?\]\((.*?)\)", README) + re.findall(r"`((?:src|conf|scripts)/[\w/.]+)`", README)


def commands(start: str) -> list[str]:
    """What stands behind `start`, but for choices that were deleted with their extra."""
    lines = [line for line in LINES if not any(choice in line for choice in DELETED)]
    return [line.removeprefix(start).strip() for line in lines if line.startswith(start)]


@pytest.mark.parametrize("command", commands("python train.py"))
def test_every_train_command_composes(command: str, workdir: Path) -> None:
    arguments = [argument for argument in shlex.split(command) if argument not in ("-m", "--help")]
    for argument in arguments:
        if argument.startswith("resume="):  # a run to go on with
            folder = workdir / argument.removeprefix("resume=").replace("latest", "logs/runs/some")
            (folder / ".hydra").mkdir(parents=True)
            (folder / ".hydra" / "overrides.yaml").write_text("- seed=1\n")
            (folder / ".hydra" / "config.yaml").write_text("seed: 1\n")
            if "sweeps" in argument:
                (folder / "multirun.yaml").write_text("hydra: {overrides: {task: [seed=1]}}")
    arguments = [a for a in expand_resume(as_typed(arguments)) if not a.startswith(("hydra.", "-m", "--config-name"))]
    # Of a sweep, the first job: `head=linear,mlp` is `head=linear`. The cosine head is for the reader to write.
    first = [re.sub(r"^([^=]+=[^,\[]+),.*", r"\1", argument) for argument in arguments]
    first = [argument for argument in first if argument != "head=cosine" and not argument.startswith("head.scale=")]
    with initialize_config_dir(str(ROOT / "conf")):
        compose("train", merge_overrides([], [*first, "run_dir=x", "sweep_dir=y"]))


def test_there_are_commands_to_test() -> None:
    assert len(commands("python train.py")) >= 12


@pytest.mark.parametrize("target", sorted({command.split()[0] for command in commands("make")}))
def test_every_make_target_is_there(target: str) -> None:
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_every_choice_is_in_the_table() -> None:
    for group in ("data", "augment", "backbone", "head", "callbacks", "logger", "trainer", "experiment", "debug"):
        (row,) = re.findall(rf"^\| `{group}` \| (.*) \|$", README, flags=re.MULTILINE)
        deleted = {choice.split("=")[1] for choice in DELETED if choice.startswith(f"{group}=")}
        assert set(re.findall(r"`([a-z_0-9]+)`", row)) == deleted | {
            path.stem for path in (ROOT / "conf" / group).glob("[!_]*.yaml")
        }


@pytest.mark.parametrize("path", PATHS)
def test_every_file_it_names_is_there(path: str) -> None:
    assert (ROOT / path).exists() or path == "conf/head/cosine.yaml"


def test_the_tests_that_the_engines_readme_names_are_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "src/headstart/README.md").read_text())
    assert len(named) >= 10
    assert all((ROOT / path).exists() for path in named)


def test_it_is_short() -> None:
    assert README.count("\n") < 300
