"""`name` in pyproject.toml is the owner's to change: nothing depends on it."""

import re
import tomllib
from importlib import metadata
from itertools import chain

import pytest
from runs import ROOT

import headstart
from project.reporting import results


def test_no_version_is_asked_for_by_the_projects_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    known = metadata.Distribution.from_name.__func__  # pyright: ignore[reportFunctionMemberAccess]

    def renamed(cls: type, name: str) -> metadata.Distribution:
        if name == "headstart":
            raise metadata.PackageNotFoundError(name)
        return known(cls, name)

    monkeypatch.setattr(metadata.Distribution, "from_name", classmethod(renamed))
    results.versions.cache_clear()
    found = results.versions()
    assert found["headstart"] == headstart.__version__
    assert found["torch"] == metadata.version("torch")


def test_no_requirement_is_the_project_itself() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}
    assert project["name"] not in names
