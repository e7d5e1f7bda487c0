"""Paths reach the config as they were typed: what stands there is what a shell, or the file system, would have."""

import os
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from omegaconf import DictConfig, OmegaConf

from headstart.errors import UserError
from headstart.resume.quoting import as_typed

NAMES = [
    "plain", "bilder-äöü", "archive (1)", "a, b", "x=1", "it's", 'say "x"', "both ' and \"", "cost$5", "c{1}", "{a: 1}",
    "[old]", "[old", "2024_11", "1e3", "007", "1.10", "true", " sp ", "end\\", "back\\slash", "C:\\Users\\(me)\\\\pics",
    "\\\\server\\a b", "slash/", "choice(a,b)", "glob(*)", "#1: a & b; 100% | c? <d>", "日本語",
    "a\tb", "~no.one/x", "'", "é",
]  # fmt: skip
KEYS = ["data.root", "features.dir", "backbone.weights", "data.images_dir", "run_dir", "trainer.default_root_dir"]


def composed(folder: Path, *arguments: str) -> DictConfig:
    """What Hydra's own grammar and OmegaConf make of arguments, in a small config."""
    (folder / "conf").mkdir(exist_ok=True)
    OmegaConf.save(OmegaConf.from_dotlist([f"{key}=null" for key in KEYS]), folder / "conf" / "some.yaml")
    with initialize_config_dir(str(folder / "conf")):
        return compose("some", as_typed([*arguments]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_there", [True, False])
def test_a_path_is_what_was_typed(name: str, is_there: bool, workdir: Path) -> None:
    if is_there:
        (workdir / name).mkdir(parents=True, exist_ok=True)
    cfg = composed(workdir, *(f"{key}={name}" for key in KEYS))
    assert {OmegaConf.select(cfg, key) for key in KEYS} == {"./" * name.startswith("~") + name}


def test_home_is_where_the_shell_has_it(workdir: Path) -> None:
    for typed in ("~", "~/pictures", "~/my pictures (1)", "'~/in quotes'", f"~{os.environ.get('USER', 'root')}/x"):
        assert composed(workdir, f"data.root={typed}").data.root == os.path.expanduser(typed.strip("'"))  # noqa: PTH111


@pytest.mark.parametrize(
    ("typed", "jobs"),
    [
        ("a,b", ["a", "b"]),
        ("bilder-ä,archive (1),x=1", ["bilder-ä", "archive (1)", "x=1"]),
        ("2024_11, 2024_12", ["2024_11", "2024_12"]),
        ("'a, b',c", ["a, b", "c"]),
        ("~/a,~/b c", [f"{Path.home()}/a", f"{Path.home()}/b c"]),
        ("s-{0,1}.tar,t.tar", ["s-{0,1}.tar", "t.tar"]),
        ("choice(a,b)", ["a", "b"]),
        ("there, is", None),
    ],
)
def test_commas_still_sweep(typed: str, jobs: list[str] | None, workdir: Path) -> None:
    (workdir / "there, is").mkdir()
    (argument,) = as_typed(["-m", f"data.root={typed}"])[1:]
    override = OverridesParser.create().parse_override(argument)
    if jobs is None:
        assert override.value() == typed
    else:
        value: Any = override.value()
        values = [one.text if isinstance(one, QuotedString) else one for one in value.list]
        assert values == jobs


@pytest.mark.parametrize(
    "argument",
    [
        "backbone.weights=null", "data.root=???", "data.root=", "data.root='my dir'", "data.root=${data_dir}/x",
        "seed=1,2", "data.train=[a,b]", "~model.scheduler", "--config-dir=~/x", "model.lr=1e-3",
        "+logger.wandb.tags=[a,b]",
        "head=linear", "data.group='patient[0-9]+'", "trainer.max_epochs=[1", "+data.options={a: 1}",
        "hydra.run.dir=logs/${now:%H}",
    ],
)  # fmt: skip
def test_what_hydra_reads_as_it_was_meant_stays(argument: str) -> None:
    assert as_typed([argument]) == [argument]


def test_other_text_that_hydra_refuses_is_text() -> None:
    assert as_typed(["data.group=patient[0-9]+", "project=größe"]) == ["data.group='patient[0-9]+'", "project='größe'"]


def test_what_no_config_can_hold_is_refused(workdir: Path) -> None:
    (workdir / "${x}").mkdir()
    with pytest.raises(UserError, match="stands for another value"):
        as_typed(["data.root=${x}"])
    with pytest.raises(UserError, match=r"data\.root=b\\xe4r is not UTF-8"):
        as_typed([f"data.root={os.fsdecode(bytes([98, 0xE4, 114]))}"])
