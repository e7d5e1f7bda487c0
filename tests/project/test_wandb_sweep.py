"""What docs/search.md says of W&B's sweeps: W&B's own agent, without its server, starts a run that W&B finds again."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from runs import ROOT, TINY, composed, results
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args
from wandb.wandb_agent import Agent
from wandb_file import wandb_records

from headstart.resume.command_line import check

FILE = "docs/wandb-sweep.yaml"
SWEEP = yaml.safe_load((ROOT / FILE).read_text())
RUN_ID, SWEEP_ID = "qx7k2m1a", "hc8w0v5z"  # which W&B's server makes up
OURS = [part for part in SWEEP["command"] if not str(part).startswith("$") and part != "python"]


def drawn(end: int) -> dict[str, Any]:
    """Values as W&B's server sends them: the first ones (0) of what each parameter may be, or the last (-1)."""
    ends = {name: said.get("values") or [said["min"], said["max"]] for name, said in SWEEP["parameters"].items()}
    return {name: {"value": values[end]} for name, values in ends.items()}


@pytest.mark.parametrize("end", [0, -1])
def test_every_value_is_one_that_a_run_takes(end: int) -> None:
    typed = create_sweep_command_args({"args": drawn(end)})["args_no_hyphens"]
    cfg = check(composed(*typed, *OURS))
    assert cfg.model.lr == drawn(end)["model.lr"]["value"]
    assert cfg.logger.wandb.dir == cfg.run_dir


def test_the_page_names_the_file() -> None:
    assert f"wandb sweep {FILE}" in (ROOT / "docs/search.md").read_text()
    assert (ROOT / SWEEP["program"]).is_file()


@pytest.fixture
def agent(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """W&B's own, as far as it gets without its server."""
    left = {"DIR": str(workdir), "SWEEP_ID": SWEEP_ID, "RUN_ID": "", "SWEEP_PARAM_PATH": ""}  # it says the last two
    for name, value in left.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return Agent(api=None, queue=None, sweep_id=SWEEP_ID)


def values(records: list[Any], kind: str) -> Iterator[tuple[str, Any]]:
    """The names and values of W&B's records of a kind, `config` or `summary`."""
    for record in records:
        updates = [getattr(record, kind).update] + ([record.run.config.update] if kind == "config" else [])
        for item in (item for update in updates for item in update):
            yield item.key or "/".join(item.nested_key), json.loads(item.value_json)


@pytest.mark.slow
def test_a_run_of_the_agent_is_the_one_that_its_sweep_waits_for(agent: Agent, images: Path) -> None:
    agent._sweep_command = [*SWEEP["command"], "data=folder", f"data.root={images}", *TINY]
    agent._command_run({"run_id": RUN_ID, "program": str(ROOT / SWEEP["program"]), "args": drawn(-1)})
    assert agent._run_processes[RUN_ID].wait(300) == 0
    (run_dir,) = Path("logs/runs").iterdir()
    records = wandb_records(run_dir)
    (run,) = (record.run for record in records if record.HasField("run"))
    assert (run.run_id, run.sweep_id, run.display_name) == (RUN_ID, SWEEP_ID, run_dir.name)
    config, summary = (dict(values(records, kind)) for kind in ("config", "summary"))
    assert {name: config[name] for name in SWEEP["parameters"]} == {name: v["value"] for name, v in drawn(-1).items()}
    assert config["model"]["lr"] == config["model.lr"]
    assert summary[SWEEP["metric"]["name"]] == pytest.approx(results(run_dir)["score"])
    assert (run_dir / "wandb-id").read_text() == RUN_ID  # under which resume= goes on
