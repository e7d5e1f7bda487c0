"""What TRUSTED in src/project/__init__.py lets through, and what it keeps out."""

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.errors import InstantiationException
from hydra.utils import execution_whitelist, instantiate
from omegaconf import OmegaConf
from runs import CONF, ROOT, Train, go_on, results

from headstart.plugins import missing_plugin
from project import TRUSTED

# Below `target`, what one would be called with.
CODE: list[dict[str, Any]] = [
    {"_target_": "os.system", "command": "id"},
    {"a": [{"b": [{"_target_": "os.system", "command": "id"}]}]},
    {"_target_": "builtins.exec", "source": ""},
    {"_target_": "torch.load", "f": "x"},
    {"_target_": "torch.hub.load", "repo_or_dir": "x", "model": "y"},
    # through what our own modules and the libraries have from elsewhere
    {"_target_": "project.reporting.results.subprocess.run", "args": "id"},
    {"_target_": "lightning.pytorch.callbacks.model_checkpoint.os.system", "command": "id"},
    {"_target_": "torch.nn.parallel.distributed.os.system", "command": "id"},
    {"_target_": "torch.optim.lr_scheduler.partial", "func": "id"},
    # through parts that build, load or run what their argument says
    {"_target_": "project.build._load_backbone", "description": "{_target_: os.system, command: id}"},
    {"_target_": "headstart.specs.from_spec", "spec": {"_target_": "os.system"}, "trusted": ["os.*"]},
    {"_target_": "headstart.extras.shards.tar.read_shard", "shard": "pipe:id"},
    {"_target_": "headstart.extras.shards.data.ShardStream", "given": {"train": "pipe:id"}},
    {"_target_": "lightning.pytorch.cli.instantiate_class", "args": [], "init": {"class_path": "os.system"}},
    {
        "_target_": "lightning.pytorch.strategies.Strategy.load_checkpoint",
        "checkpoint_path": "x",
        "weights_only": False,
    },
    {"_target_": "lightning.Trainer.fit"},
    {"_target_": "project.main.train_head_first"},
    # through a logger that sends the key where it is told to
    {"_target_": "lightning.pytorch.loggers.WandbLogger", "settings": {"base_url": "http://evil"}},
    # by an interpolation
    {"_target_": "${..there}", "command": "id"},
]


@pytest.mark.parametrize("node", CODE, ids=str)
@pytest.mark.parametrize("partial", [False, True])
def test_no_config_runs_what_is_not_trusted(node: dict[str, Any], partial: bool) -> None:
    cfg = OmegaConf.create({"x": {**node, "_partial_": partial} if "_target_" in node else node, "there": "os.system"})
    with pytest.raises(InstantiationException, match=r"not in the Hydra execution whitelist|cannot be authorized"):
        instantiate(cfg.x)()  # a partial is called


def test_every_target_below_conf_is_trusted() -> None:
    def targets(node: Any) -> list[str]:
        if isinstance(node, list):
            return [target for item in node for target in targets(item)]
        if not isinstance(node, dict):
            return []
        own = [node["_target_"]] if "_target_" in node else []
        return own + targets(list(node.values()))

    found = {target for path in CONF.rglob("*.yaml") for target in targets(yaml.safe_load(path.read_text()))}
    assert len(found) >= 15
    missing = []
    for target in found:
        try:
            instantiate(
                {"_target_": target, "_partial_": True}, _execution_whitelist_=execution_whitelist(TRUSTED, True)
            )
        except InstantiationException as error:
            missing.append(missing_plugin(error))
    assert set(missing) <= {"hydra-ray-launcher"}  # an extra that isn't in the lock


@pytest.mark.slow
@pytest.mark.parametrize(
    "choice",
    [
        ["head._target_=torch.nn.Linear", "~head.norm"],
        ["model.optimizer._target_=timm.optim.AdamP", "trainer.max_epochs=${oc.decode:'2'}"],
    ],
    ids=str,
)
def test_what_an_owner_trains_he_can_evaluate_and_go_on_with(
    train: Train, monkeypatch: pytest.MonkeyPatch, choice: list[str]
) -> None:
    (run_dir,) = train(*choice, "logger=none")
    metrics = results(run_dir)["metrics"]
    monkeypatch.setattr(sys, "argv", ["evaluate.py", str(run_dir)])
    runpy.run_path(str(ROOT / "scripts" / "evaluate.py"), run_name="__main__")
    go_on(monkeypatch, "resume=latest")
    assert results(run_dir)["metrics"] == metrics


def test_another_package_is_refused_before_anything_is_loaded_and_the_line_says_what_to_do(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere.py").write_text("from torch.optim import SGD\n\n\nclass Mine(SGD): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        SystemExit, match=r"model\.optimizer\._target_=elsewhere\.Mine isn't trusted.*add it to TRUSTED"
    ):
        train("model.optimizer._target_=elsewhere.Mine")
    assert "elsewhere" not in sys.modules
