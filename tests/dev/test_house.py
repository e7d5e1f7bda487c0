"""The rules of the house that no linter keeps."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from copies import copy_of_the_project, run
from runs import CONF, DELETED, FILES, HEAVY, ROOT, composed

from headstart.errors import known_keys

SRC = sorted((ROOT / "src").rglob("*.py"))
NEWCOMER = (
    "main", "build", "model/classifier", "model/heads", "model/optimizer", "model/strategy", "data/datamodule",
    "data/folder", "backbones/bundled",
)  # fmt: skip
EXTRAS = sorted(path.name for path in (ROOT / "src/headstart/extras").iterdir() if (path / "__init__.py").exists())
OF_A_JOB = {"headstart.resume.going_on", "headstart.resume.own_folder", "project.reporting.sweep"}
OF_COMPOSING = {*OF_A_JOB, "hydra._internal.core_plugins"}  # before that, Hydra looks for what is plugged in
SCRIPT = """
import runpy, sys
sys.argv = {argv!r}
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as stop:
    print(stop.code, file=sys.stderr)
print(sorted(set(sys.modules) & {heavy!r}), file=sys.stderr)
"""


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))


def test_what_a_newcomer_reads_is_short() -> None:
    lines = {name: (ROOT / f"src/project/{name}.py").read_text().count("\n") for name in NEWCOMER}
    assert sum(lines.values()) <= 900, lines


def test_no_file_and_no_function_is_long() -> None:
    for path in SRC:
        assert path.read_text().count("\n") <= 250, path
        for function in functions(path):
            length = (function.end_lineno or 0) - function.lineno + 1
            assert length <= 40 or function.name == "__init__", f"{path}: {function.name} has {length} lines"


@pytest.mark.parametrize("package", ["project", "headstart"])
def test_imports_inside_a_package_are_relative(package: str) -> None:
    for path in SRC:
        if path.relative_to(ROOT / "src").parts[0] == package:
            absolute = re.findall(rf"^\s*(?:from|import) {package}\b.*", path.read_text(), re.MULTILINE)
            assert not absolute, f"{path}: {absolute}: renaming the package would change this file"


@pytest.mark.parametrize(
    ("arguments", "others"),
    [
        (["--help"], OF_A_JOB),
        (["--cfg", "job"], OF_A_JOB),
        (["--info"], OF_A_JOB),
        (["heda=mlp"], OF_COMPOSING),
        (["backbone.nmae=x"], OF_COMPOSING),
        (["data=folder", "data.root=/nowhere"], OF_COMPOSING),
        (["features.cache=2"], set()),
    ],
)
def test_nothing_heavy_is_imported_before_the_config_is_composed_and_checked(
    arguments: list[str], others: set[str], tmp_path: Path
) -> None:
    program = SCRIPT.format(argv=[str(ROOT / "train.py"), *arguments], heavy=HEAVY | others)
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]", done.stderr


def test_a_key_that_a_message_names_is_in_the_config() -> None:
    known = {*known_keys(), "hydra.run.dir", "hydra.sweep.dir", "hydra.output_subdir", "hydra.searchpath", "hydra.mode"}
    known |= {"data.train"} if "data=webdataset" in DELETED else set()
    groups = "|".join(sorted({key.split(".")[0] for key in known} - {""}))
    for path in [*SRC, *(ROOT / "scripts").glob("*.py")]:
        texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        for text in filter(lambda text: isinstance(text, str), texts):
            for key in re.findall(rf"(?<![\w/.+])((?:{groups})\.[a-z_]+(?:\.[a-z_]+)*)=", str(text)):
                assert key in known or f"+{key}" in str(text), f"{path} speaks of {key}, which conf/ doesn't have"


def test_the_templates_own_name_stands_in_one_place() -> None:
    named = [
        f"{path.relative_to(CONF)}: {line}"
        for path in sorted(CONF.rglob("*.yaml"))
        for line in path.read_text().splitlines()
        if re.search(r"headstart", re.sub(r"headstart\.[\w.]+|#.*", "", line))
    ]
    assert [line.split(":")[0] for line in named] == ["train.yaml"]


def without_extra(project: Path, name: str) -> None:
    """Delete an extra, and what names it in conf/, scripts/ and tests/: of a test, its first line may do so."""
    shutil.rmtree(project / "src/headstart/extras" / name)
    for folder in ("conf", "scripts", "tests"):
        for path in (project / folder).rglob("*.*"):
            text = path.read_text() if path.suffix in (".py", ".yaml") else ""
            says_so = folder == "tests" and f"headstart.extras.{name}" in text.partition("\n\n")[0]
            if says_so or re.search(f"(import|from|_target_:|goes with) headstart.extras.{name}", text):
                path.unlink()


@pytest.mark.slow
def test_without_its_extras_the_project_is_whole(tmp_path: Path) -> None:
    project = copy_of_the_project(tmp_path)
    for name in EXTRAS:
        without_extra(project, name)
    run(project, "-m", "ruff", "check", ".")
    run(project, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache")
    some = "test_config and (composes or data or strategies) or found or known_and_small or test_readme or hostile"
    assert " passed" in run(project, "-m", "pytest", "-x", "-k", some, "-m", "not slow", "tests")  # collects all others


@pytest.mark.parametrize("name", EXTRAS)
def test_only_its_own_conf_scripts_and_tests_name_an_extra(name: str) -> None:
    # A name in the list of what may be named (src/project/__init__.py) needs nothing to be there.
    own = (
        "src/headstart/extras/",
        "src/project/__init__.py",
        "conf/",
        "scripts/",
        "tests/",
        "tests/dev/",
    )
    named = [
        str(path.relative_to(ROOT))
        for folder in ("src", "conf", "scripts", "tests")
        for path in (ROOT / folder).rglob("*.*")
        if path.suffix in (".py", ".yaml") and re.search(rf"extras[./]{name}\b", path.read_text())
    ]
    assert all(path.startswith(own) for path in named), named


COUNTS = {
    ".": 1, "augment": 5, "backbone": 12, "callbacks": 12, "data": 7, "debug": 4, "experiment": 1, "head": 2,
    "hydra": 1, "hydra/launcher": 6, "hydra/sweeper": 2, "logger": 5, "search": 3, "solver": 2, "strategy": 7,
    "trainer": 6,
}  # fmt: skip


def test_every_config_is_known_and_small() -> None:
    found = [*(str(path.parent) for path in FILES), *(choice.split("=")[0] for choice in DELETED)]
    assert {group: found.count(group) for group in set(found)} == COUNTS
    for path in FILES:
        lines = (CONF / path).with_suffix(".yaml").read_text().count("\n")
        limit = 15 if path.name.startswith("_") else 12
        assert lines <= limit or path.name == "train" or path.parts[0] in ("hydra", "search"), path


def test_loggers_compose_as_a_list_and_callbacks_as_they_are_called() -> None:
    assert set(composed("logger=[csv,wandb]").logger) == {"csv", "wandb"}
    assert len(composed("callbacks=default").callbacks) == 7
    assert not composed("callbacks=none").callbacks
    trainer = composed("trainer=ddp").trainer
    assert (trainer.strategy, trainer.num_nodes) == ("ddp", 1)
