"""A sweep's jobs have the configs that Hydra composes for them, most of which it doesn't compose."""

from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_automatic_config_search_path
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from runs import CONF

from headstart.job_configs import JobConfigs

FIXED = "data=folder"


class Counted(ConfigLoaderImpl):
    """Hydra's own loader, which counts."""

    composed = 0

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        self.composed += 1
        return super().load_sweep_config(master_config, sweep_overrides)


@pytest.fixture(scope="module")
def hydra() -> tuple[Counted, DictConfig]:
    loader = Counted(create_automatic_config_search_path("project.main", None, str(CONF)))
    master = loader.load_configuration("train", [FIXED, "run_dir=run", "sweep_dir=sweep"], RunMode.MULTIRUN)
    return loader, master


def values(config: DictConfig) -> Any:
    return OmegaConf.to_container(config)


@pytest.mark.parametrize(
    ("jobs", "composed"),
    [
        (["seed=1", "seed=2", "seed=0x10", "seed=word"], 1),
        (
            [
                "monitor=val/f1",
                "monitor='val/f1'",
                'monitor="it\'s"',
                "monitor=a\\ b",
                "monitor='1'",
                "monitor=1e-3",
                "monitor=true",
            ],
            1,
        ),
        (["seed=1|head=mlp", "seed=1|head=linear", "seed=2|head=mlp", "seed=3|head=linear"], 2),
        (["seed=null", "seed=1", "seed=${oc.env:HOME}", "seed=[1]", "seed=3"], 4),
        (["+more=1", "+more=2", "~patience", "++seed=1", "++seed=2"], 5),
        (["data={root: a}|data.root=b|seed=1", "data={root: a}|data.root=c|seed=2"], 1),
        (["data.root=b|data={root: a}", "data.root=c|data={root: a}"], 2),
        (["seed=1|seed=2", "seed=3|seed=4"], 2),
        (["strategy=frozen", "strategy=frozen"], 1),
        (["hydra.sweep.subdir=a|seed=1", "hydra.sweep.subdir=b|seed=1", "hydra.sweep.subdir=b|seed=2"], 2),
    ],
)
def test_they_are_those_that_hydra_composes(hydra: tuple[Counted, DictConfig], jobs: list[str], composed: int) -> None:
    loader, master = hydra
    loader.composed = 0
    ours = JobConfigs(loader)
    made = []
    for job in jobs:
        made.append(ours.load_sweep_config(master, ["run_dir=run", "sweep_dir=sweep", *job.split("|")]))
    assert loader.composed == composed
    for job, config in zip(jobs, made, strict=True):
        wanted = loader.load_sweep_config(master, ["run_dir=run", "sweep_dir=sweep", *job.split("|")])
        assert values(config) == values(wanted)
        assert OmegaConf.is_struct(config)


def test_what_cant_be_is_hydras_to_say(hydra: tuple[Counted, DictConfig]) -> None:
    loader, master = hydra
    ours = JobConfigs(loader)
    for job in ("nosuch=1", "nosuch=2", "head=nosuch", "seed=1", "head=nosuch"):
        if job == "seed=1":
            ours.load_sweep_config(master, [job])
            continue
        with pytest.raises(HydraException):
            ours.load_sweep_config(master, [job])


def test_a_job_leaves_the_next_ones_config_alone(hydra: tuple[Counted, DictConfig]) -> None:
    ours = JobConfigs(hydra[0])
    for seed in range(3):
        config = ours.load_sweep_config(hydra[1], [f"seed={seed}"])
        assert (config.seed, config.patience) == (seed, 3)
        config.patience = 7
