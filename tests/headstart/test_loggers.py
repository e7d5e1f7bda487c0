import csv
import logging
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb as library
from lightning.pytorch.loggers import CSVLogger
from omegaconf import OmegaConf
from runs import composed
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from headstart.errors import UserError
from headstart.tracking.csv_rows import CsvFile
from headstart.tracking.loggers import closed_at_the_end, log_hyperparameters, wandb
from project import build

pytestmark = pytest.mark.usefixtures("nobody")


@pytest.fixture
def nobody(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home without a W&B login, and a server address of our own."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(workdir))
    monkeypatch.setenv("NETRC", str(workdir / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(workdir / "config"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    library.teardown()  # W&B reads its environment once
    yield
    library.teardown()


def starts_offline(run_dir: str = "logs/runs/1") -> bool:
    """Really start and end a run; whether W&B kept it offline."""
    run = wandb(run_dir, sweep_dir="logs/sweeps/1", project="headstart").experiment
    run.finish()
    return len(list(Path(run_dir).glob("wandb/offline-run-*/*.wandb"))) == 1


def test_no_key_means_offline_and_one_line_says_how_to_sync(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "headstart"):
        assert starts_offline()
    (line,) = [record.message for record in caplog.records if record.name == "headstart.tracking.loggers"]
    assert "no API key" in line
    assert "wandb sync logs/runs/1/wandb/offline-run-*" in line


def test_options_of_wandbs_own_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    own: Any = {"tags": OmegaConf.create(["a", "b"]), "notes": "übung", "name": "mine", "group": "ours"}
    run = wandb("logs/runs/1", "logs/sweeps/1", "headstart", **own).experiment
    assert (run.tags, run.notes, run.name, run.group) == (("a", "b"), "übung", "mine", "ours")
    run.finish()
    assert wandb("logs/runs/2", "logs/sweeps/1", "headstart", mode="disabled")._wandb_init["mode"] == "disabled"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.ai")
    library.teardown()
    with pytest.raises(UserError, match=r"W&B: .*https://wandb.ai is not a valid server address"):
        wandb("logs/runs/3", "logs/sweeps/1", "headstart")


def test_no_network_means_offline(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    with caplog.at_level(logging.INFO, "headstart"):
        assert starts_offline()
    assert "no answer from 127.0.0.1" in caplog.text
    assert "0123456789" not in caplog.text


def test_a_key_and_a_network_mean_online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.setattr("headstart.tracking.loggers._takes_connections", lambda *_: True)
    logger = wandb("logs/runs/1", sweep_dir="logs/sweeps/1", project="headstart")
    assert logger._wandb_init["mode"] is None  # W&B's own default


def test_a_server_that_refuses_after_all_means_offline_under_the_same_id(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.setattr("headstart.tracking.loggers._takes_connections", lambda *_: True)
    logger = wandb("logs/runs/1", sweep_dir="logs/sweeps/1", project="headstart")
    monkeypatch.setattr(logger._wandb_init["settings"], "init_timeout", 0.2)
    with caplog.at_level(logging.INFO, "headstart"), closed_at_the_end([logger]):
        log_hyperparameters([logger], {"seed": 1})
    assert "the run could not be opened" in caplog.text
    assert "0123456789" not in caplog.text
    (stored,) = Path("logs/runs/1").glob("wandb/offline-run-*/*.wandb")
    until = time.monotonic() + 30
    while b"seed" not in stored.read_bytes() and time.monotonic() < until:  # W&B's own process writes it
        time.sleep(0.1)
    assert b"seed" in stored.read_bytes()
    assert len(list(Path("logs/runs/1").glob(f"wandb/*run-*-{logger.version}"))) == 2  # both tries


def test_the_next_job_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "headstart"):
        assert starts_offline("logs/runs/1")
        assert starts_offline("logs/runs/2")
    assert caplog.text.count("no API key") == 2


def test_the_users_own_mode_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert starts_offline()


def recorded(run_dir: str, **options: Any) -> Any:
    """What W&B itself holds of a run that really begins, offline."""
    run = wandb(run_dir, sweep_dir="logs/sweeps/1", project="headstart", **options).experiment
    run.finish()
    return run


def test_wandbs_own_options_come_before_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"name": "mine", "group": "pets", "tags": ["a", "b"], "notes": "n", "job_type": "tune", "id": "abc123"}
    run = recorded("logs/sweeps/1/0", mode="offline", **options)
    assert {key: getattr(run, key) for key in options} == options | {"tags": ("a", "b")}
    variables = {"NAME": "theirs", "RUN_GROUP": "cats", "TAGS": "c,d", "NOTES": "m", "JOB_TYPE": "eval", "RUN_ID": "x1"}
    for name, value in variables.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.setenv("WANDB_DIR", "elsewhere")
    Path("elsewhere").mkdir()
    library.teardown()
    run = recorded("logs/sweeps/1/1", **dict.fromkeys(options))
    assert (run.name, run.group, run.tags, run.notes, run.job_type, run.id) == (
        "theirs", "cats", ("c", "d"), "m", "eval", "x1",
    )  # fmt: skip
    assert len(list(Path("elsewhere/wandb").glob("offline-run-*-x1"))) == 1
    assert recorded("logs/sweeps/1/2", name="typed", tags=["t"]).name == "typed"


def test_a_run_that_goes_on_keeps_its_id_wherever_wandb_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DIR", "elsewhere")
    first, other, again = (recorded(run_dir).id for run_dir in ("logs/runs/1", "logs/runs/2", "logs/runs/1"))
    assert first == again != other


def test_a_run_goes_on_under_the_id_that_a_variable_once_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("WANDB_RUN_ID", "x1")  # as W&B's agent of a sweep does
        assert recorded("logs/runs/1").id == "x1"
    library.teardown()
    assert recorded("logs/runs/1").id == "x1" != recorded("logs/runs/2").id


def test_the_projects_name_in_wandb_may_come_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert composed("logger=wandb").logger.wandb.project == "headstart"
    monkeypatch.setenv("WANDB_PROJECT", "pets")
    assert composed("logger=wandb").logger.wandb.project == "pets"
    assert composed("logger=wandb", "logger.wandb.project=typed").logger.wandb.project == "typed"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["logger=wandb", "+logger.wandb.tag=[a]"], "there is no logger.wandb.tag; did you mean tags"),
        (
            ["logger=wandb", "+logger.wandb.settings={base_url: http://127.0.0.1:1}"],
            "there is no logger.wandb.settings",
        ),
    ],
)
def test_an_option_that_a_logger_does_not_have_is_named(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        build.loggers(composed(*overrides))


def test_tensorboards_own_options_pass_through() -> None:
    options = ["logger.tensorboard.name=events", "+logger.tensorboard.version=v1", "+logger.tensorboard.flush_secs=1"]
    (logger,) = build.loggers(composed("logger=tensorboard", *options, "+logger.tensorboard.prefix=mine"))
    logger.log_metrics({"val/loss": 0.5}, step=3)
    logger.finalize("success")
    found = EventAccumulator("run/events/v1").Reload().Scalars("mine-val/loss")
    assert [(event.step, event.value) for event in found] == [(3, 0.5)]


def test_the_csv_loggers_rows_are_those_of_a_run_that_nobody_stopped(tmp_path: Path) -> None:
    plain, ours = CSVLogger(tmp_path, "plain", ""), CsvFile(tmp_path, "ours", "", flush_logs_every_n_steps=1)
    rows: list[tuple[dict[str, Any], int]] = [({"val/loss": step / 7}, step) for step in range(6)] + [
        ({"score": 0.5}, 6)
    ]
    for metrics, step in rows:
        plain.log_metrics(metrics, step)
    plain.save()
    for metrics, step in [*rows[:5], ({"late": 1.0}, 9)]:  # and is killed here; its checkpoint is of step 3
        ours.log_metrics(metrics, step)
    ours = CsvFile(tmp_path, "ours", "", flush_logs_every_n_steps=1)
    ours.log_hyperparams({"seed": 1})
    ours.start_again_at(3)
    for metrics, step in rows[3:]:
        ours.log_metrics(metrics, step)
    wanted, found = (
        list(csv.DictReader((tmp_path / name / "metrics.csv").read_text().splitlines())) for name in ("plain", "ours")
    )
    assert [{name: row[name] for name in wanted[0]} for row in found] == wanted
