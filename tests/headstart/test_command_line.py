"""What a command line says without saying it."""

import pytest

from headstart.resume.implied import imply
from headstart.resume.quoting import as_typed
from headstart.resume.stored_config import merge_overrides


@pytest.mark.parametrize(
    "said",
    [
        "model.lr=1", "~model.scheduler", "model.scheduler=null", "model.optimizer._target_=torch.optim.SGD",
        "augment.mixup=0.2", "++augment.cutmix=1", "augment.mixup=0,0.2",
    ],
)  # fmt: skip
def test_what_only_gradient_descent_has_chooses_it(said: str) -> None:
    assert imply([said]) == [said, "solver=adamw"]
    assert imply([said, "solver=lbfgs"]) == [said, "solver=lbfgs"]


@pytest.mark.parametrize(
    "said", ["augment.mixup=0", "augment.mixup=0.0", "augment.cutmix=null", "model.label_smoothing=0"]
)
def test_what_both_solvers_have_chooses_none(said: str) -> None:
    assert imply([said]) == [said]


def test_shards_need_no_quotes_in_quotes() -> None:
    typed = ["data.train=x-{000..099}.tar", "data.val='a|b'", "+data.test=pipe:cat 'x' | y", "other.data.train={a:1}"]
    quoted = [
        "data.train='x-{000..099}.tar'",
        "data.val='a|b'",
        r"+data.test='pipe:cat \'x\' | y'",
        "other.data.train={a:1}",
    ]
    assert as_typed(typed) == quoted
    assert as_typed(quoted) == quoted


def test_what_is_typed_now_wins() -> None:
    old = ["data=csv", "data.path=x", "+trainer.x=1", "seed=1"]
    assert merge_overrides(old, ["data=folder", "trainer.x=2"]) == ["seed=1", "data=folder", "trainer.x=2"]
