"""Sweepers and launchers of one's own are made known to Hydra, and what can't be is said before anything begins."""

from pathlib import Path

import pytest
from hydra.core.plugins import Plugins
from hydra.utils import execution_whitelist
from omegaconf import OmegaConf

from headstart.plugins import OwnPlugins, extra_with, known

OWN = """
from hydra.plugins.launcher import Launcher
class Own(Launcher):
    def setup(self, *, hydra_context, task_function, config): pass
    def launch(self, job_overrides, initial_job_idx): return []
class Half(Launcher):
    def setup(self, *, hydra_context, task_function, config): pass
"""
MODULES = {
    "own_launcher": OWN,
    "lonely_launcher": "from hydra_plugins.hydra_lonely_launcher import x",
    "lonely_too": "import hydra_plugins.hydra_lonely_launcher.core",
    "broken_launcher": "1 / 0",
}


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name, content in MODULES.items():
        (tmp_path / f"{name}.py").write_text(content)


def begin(target: str | None, kind: str = "launcher") -> None:
    OwnPlugins().on_multirun_start(OmegaConf.create({"hydra": {kind: {"_target_": target}}}))


def test_a_class_anywhere_is_made_known_once_it_is_trusted() -> None:
    with pytest.raises(SystemExit, match=r"^error: Target 'own_launcher.Own' is not in .* add it to TRUSTED"):
        begin("own_launcher.Own")
    assert "own_launcher.Own" not in known("launcher")
    with execution_whitelist(["own_launcher.*"]):
        begin("own_launcher.Own")
    assert "own_launcher.Own" in known("launcher")
    assert Plugins.instance()._instantiate(OmegaConf.create({"_target_": "own_launcher.Own"})) is not None
    begin("own_launcher.Own")  # known by now
    begin("hydra._internal.core_plugins.basic_launcher.BasicLauncher")
    begin(None)


@pytest.mark.parametrize(
    ("kind", "target", "message"),
    [
        (
            "sweeper",
            "own_launcher.Own",
            r"^error: hydra\.sweeper\._target_=own_launcher\.Own is no subclass of .*Sweep",
        ),
        ("launcher", "own_launcher.Half", r"^error: hydra\.launcher\._target_=own_launcher\.Half is no subclass of"),
        ("launcher", "own_launcher.Other", r"^error: there is no own_launcher\.Other \(hydra\.launcher\._target_\)$"),
        ("launcher", "lonely_launcher.X", r"^error: .*lonely_launcher\.X needs hydra-lonely-launcher: pip install"),
        ("launcher", "lonely_too.X", r"^error: .*lonely_too\.X needs hydra-lonely-launcher: pip install"),
        ("sweeper", "hydra_plugins.hydra_lonely_sweeper.X", r"no such plugin; pip install hydra-lonely-sweeper$"),
        ("launcher", "broken_launcher.X", r"(?s)^Traceback .*broken_launcher\.py.*ZeroDivisionError"),
    ],
)
def test_what_cannot_be_is_said_in_a_line_and_a_bug_keeps_its_traceback(kind: str, target: str, message: str) -> None:
    trusted = execution_whitelist([f"{name}.*" for name in MODULES])
    with trusted, pytest.raises(SystemExit, match=message) as caught:
        begin(target, kind)
    assert message.startswith("(?s)") or "\n" not in str(caught.value.code)


def test_what_to_install_is_named_by_its_extra() -> None:
    assert extra_with("hydra-ray-launcher") == "-e .[ray]"
    assert extra_with("hydra-lonely-launcher") == "hydra-lonely-launcher"
