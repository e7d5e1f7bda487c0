"""How a sweep's jobs get their configs."""

import sys
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from runs import ROOT

from hydra_plugins.composed_once import ComposedOnce


def jobs_of(monkeypatch: pytest.MonkeyPatch, *overrides: str) -> list[tuple[int, int, str]]:
    """Sweep with our config and nothing to train: number, seed and folder of every job that began."""
    began = []

    def job(cfg: DictConfig) -> float:
        began.append((HydraConfig.get().job.num, cfg.seed, Path(cfg.run_dir).name))
        cfg.seed = -1  # a job may do with its config what it likes
        return 0.0

    monkeypatch.setattr(sys, "argv", ["train.py", "-m", *overrides])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    try:
        hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="train")(job)()
    except HydraException:
        began.append((-1, -1, "refused"))
    return began


@pytest.mark.usefixtures("workdir")
def test_each_config_is_composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    composed: list[str] = []
    original = ConfigLoaderImpl._load_configuration_impl

    def counted(self: ConfigLoaderImpl, *args: Any, **kwargs: Any) -> Any:
        composed.extend(override for override in kwargs["overrides"] if override.startswith("seed="))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", counted)
    assert jobs_of(monkeypatch, "seed=3,4,3") == [(0, 3, "0"), (1, 4, "1"), (2, 3, "2")]
    assert [name for name in composed if "," not in name] == ["seed=3", "seed=4", "seed=3"]


@pytest.mark.usefixtures("workdir")
def test_what_is_wrong_with_the_last_job_is_found_before_the_first_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    assert jobs_of(monkeypatch, "head=linear,nonsense") == [(-1, -1, "refused")]


def test_a_sweeps_configs_are_those_that_hydra_composes(images: Path) -> None:
    Plugins.instance()  # which knows how to read the places where configs are
    places = create_config_search_path(str(ROOT / "conf"))
    plain, ours = ConfigLoaderImpl(places), ComposedOnce(ConfigLoaderImpl(places))
    given = ["data=folder", f"data.root={images}", "solver=adamw"]
    sweep = plain.load_configuration("train", given, RunMode.MULTIRUN)
    for job in (["model.lr=1"], ["head=mlp"], ["head=mlp", "head.dropout=0"], ["model.lr=2"], []):
        wanted, found = (loader.load_sweep_config(sweep, [*given, *job]) for loader in (plain, ours))
        assert found == wanted
        found.model.lr = found.head.norm = "changed"  # no later job may see it
