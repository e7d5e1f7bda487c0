"""A user's mistake is told in one line; whatever else goes wrong keeps its traceback, wherever it was raised."""

import os
import sys
from pathlib import Path

import pytest
from hydra.errors import InstantiationException
from hydra.utils import execution_whitelist, instantiate
from torch.utils.data import DataLoader

from headstart.errors import UserError, did_you_mean, explain, listed, readable_errors, readable_job
from headstart.images.decoding import BrokenImageError


class Failing:
    """A data set whose items raise."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        try:
            raise OSError("first")
        except OSError as first:
            raise self.error from first


def raised_by_a_worker(error: Exception) -> Exception:
    with pytest.raises(type(error)) as caught:
        list(DataLoader(Failing(error), num_workers=1))  # pyright: ignore[reportArgumentType]
    return caught.value


@pytest.fixture
def owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of the owner's, which configs may name."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "owners_heads", raising=False)
    return tmp_path / "owners_heads.py"


def made(**node: object) -> Exception:
    with pytest.raises(Exception) as caught, execution_whitelist("owners_heads.*"):  # noqa: PT011
        instantiate({"head": {"_target_": "owners_heads.head", **node}})
    return caught.value


@pytest.mark.parametrize(
    "error", [UserError("head.norm=x: choose none"), BrokenImageError("a.jpg can't be decoded (cut)")]
)
def test_a_users_mistake_is_one_line_out_of_a_worker_too(error: UserError) -> None:
    assert explain(error) == explain(raised_by_a_worker(error)) == str(error)


@pytest.mark.slow
def test_a_bug_keeps_its_traceback_out_of_a_worker_too() -> None:
    assert explain(ValueError("not enough values")) is None
    assert explain(raised_by_a_worker(ValueError("not enough values"))) is None


def test_in_what_a_config_names(owners: Path) -> None:
    owners.write_text(
        "from headstart.errors import UserError\n\n\ndef head(bug):\n"
        "    if bug:\n        a, b = [1, 2, 3]\n    raise UserError('head.size=0: give more')\n"
    )
    assert explain(made(bug=False)) == "head.size=0: give more"
    assert explain(made(bug=True)) is None
    assert explain(made(nothing=1)) is None
    assert explain(made(_target_="owners_heads.haed")) == "there is no owners_heads.haed (head._target_)"
    assert "If you trust it, add it to TRUSTED" in str(explain(made(_target_="elsewhere.Head")))


@pytest.mark.parametrize("bug", ["a, b = [1, 2, 3]", "import nosuch_library", "import os; os.nosuch", "x = (", "1 / 0"])
def test_in_importing_what_a_config_names(owners: Path, bug: str) -> None:
    owners.write_text(bug)
    error = made()
    assert isinstance(error, InstantiationException)
    assert explain(error) is None


def test_a_mistake_behind_another_error(owners: Path) -> None:
    owners.write_text("from headstart.errors import UserError\nraise UserError('heads need: pip install x')")
    assert explain(made()) == "heads need: pip install x"


def test_a_job_and_its_processes_see_the_environment_that_the_user_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with readable_errors():
        assert os.environ["HYDRA_FULL_ERROR"] == "1"
        with readable_job():
            assert "HYDRA_FULL_ERROR" not in os.environ
        assert os.environ["HYDRA_FULL_ERROR"] == "1"
    assert "HYDRA_FULL_ERROR" not in os.environ
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with readable_errors(), readable_job():
        assert os.environ["HYDRA_FULL_ERROR"] == "1"


def test_names_in_one_line() -> None:
    assert listed(["a", "b"]) == "a; b"
    assert listed(list("abcd"), most=2) == "a; b and 2 more"
    assert did_you_mean("resnet19", ["resnet18", "vit"]) == "did you mean resnet18? "
    assert did_you_mean("zzz", ["resnet18"]) == ""
