"""What is refused before Hydra composes anything, and what is left to Hydra."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from headstart import errors
from headstart.errors import UserError
from headstart.resume import at_once, implied
from headstart.resume.at_once import refuse_at_once

FILES = {
    "train.yaml": "defaults: [{data: a}, {logger: b}]\nseed: 0\nmodel: {lr: 1}",
    "data/a.yaml": "{}",
    "data/of_folders.yaml": "_target_: project.data.folder.folder\nroot: ???",
    "experiment/e.yaml": "data: {_target_: x}",
    "logger/b.yaml": "b: {flush: 1}",
}


@pytest.fixture(autouse=True)
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small conf/ of its own."""
    folder = tmp_path / "conf"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for module in (errors, at_once, implied):
        monkeypatch.setattr(module, "CONF_DIR", folder)
    return folder


@pytest.fixture
def schema() -> Iterator[None]:
    """A config that isn't in conf/."""
    ConfigStore.instance().store("schema", {"sede": 0})
    yield
    del ConfigStore.instance().repo["schema.yaml"]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("sede=1", "there is no sede in the config; did you mean seed?"),
        ("model.lrr=1", "there is no model.lrr in the config; did you mean model.lr?"),
        ("seed=1 data=of_folders data.root=/nowhere", "there is no folder /nowhere (data.root)"),
    ],
)
def test_what_is_in_no_file_is_refused(typed: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        refuse_at_once(typed.split())
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "typed",
    [
        *("seed=1", "model.lr=1", "data=a", "logger=b logger.b.flush=2", "logger.c.flushh=1", "+sede=1", "++sede=1"),
        *("~sede", "sede", "sede={a:1}", "sede=${seed}", "sede=1,2", "sede=[", "sede@x=1", "x/sede=1", "seed.0=1"),
        *("-m sede=1", "--config-name=x sede=1", "--help", "hydra.x=1", "hydra.searchpath=[x] sede=1", "seed[0]=1"),
        *("data=nosuch", "data=../x data.root=x", "data.root=/nowhere", "data=of_folders data.root=???"),
        *("data=of_folders data.root=null", "experiment=e data=of_folders data.root=/nowhere"),
        *("data=of_folders data._target_=x data.root=/nowhere"),
    ],
)
def test_what_hydra_may_know_better_is_left_to_it(typed: str) -> None:
    refuse_at_once(typed.split())


@pytest.mark.usefixtures("schema")
def test_a_key_may_come_from_a_stored_dataclass() -> None:
    refuse_at_once(["sede=1"])


def test_a_key_may_come_from_another_folder(conf: Path) -> None:
    (conf / "more.yaml").write_text("hydra: {searchpath: [file://x]}")
    refuse_at_once(["sede=1"])
