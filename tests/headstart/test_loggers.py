import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb as library
from omegaconf import OmegaConf

from headstart.errors import UserError
from headstart.tracking.loggers import closed_at_the_end, log_hyperparameters, wandb

pytestmark = pytest.mark.usefixtures("nobody")


@pytest.fixture
def nobody(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home without a W&B login, and a server address of our own."""
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
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
