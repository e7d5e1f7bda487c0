"""What a stranger can write into a run's folder: it is passed on as it is, or refused in one line."""

from pathlib import Path

import pytest

from headstart.resume import trusted
from headstart.resume.trusted import note_typed, read_plainly, refuse_strangers_code

SOURCE = Path("run/.hydra/overrides.yaml")

HARMLESS = [
    "data=folder", "data.root='/my images/a (copy), [2]'", 'data.root="/it\'s here"', "logger=[csv,wandb]",
    "logger=[]", "head=linear,mlp", "head=glob(*)", "seed=range(1,4)", "model.lr=choice(0.1,0.2)", "experiment=null",
    "debug=limit", "model.scheduler=null", "~model.scheduler.warmup", "~logger", "+trainer.x=1",
    "++trainer.x={a:[1,2]}",
    "backbone.name=convnext_tiny.fb_in22k", "monitor=val/loss", "features.dir=/scratch/features",
    "resume='logs/runs/1'", "model.scheduler.T_max=${trainer.max_epochs}", "features.dir='${data_dir}/features'",
    "model.scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau", "model.optimizer._target_=torch.optim.SGD",
    "model.optimizer._target_=torch.optim.SGD,torch.optim.Adam", "head._target_=project.model.heads.mlp",
    "+callbacks.lr={_target_:lightning.pytorch.callbacks.LearningRateMonitor,logging_interval:epoch}",
    "model.optimizer={_target_:timm.optim.AdamP,_partial_:true}",
    "+trainer.profiler._target_=lightning.pytorch.profilers.AdvancedProfiler",
    "+logger.x._target_=lightning.pytorch.loggers.CSVLogger", "callbacks={model_checkpoint:{dirpath:a/b}}",
    # Hydra's whitelist decides:
    "head._target_=torch.nn.Linear", "~head.norm", "model.optimizer._target_=lion_pytorch.Lion",
]  # fmt: skip

INTERPOLATIONS = [
    "data.root=${oc.env:HOME}", "data.root='x${oc.env:HOME}'", "data.root=${oc.decode:'1'}",
    "+x=[{a:'${hydra:runtime.cwd}'}]", "+callbacks.x='${oc.create:\"{_target_: os.system}\"}'",
    "data.root='${oc.${a}:HOME}'", r"backbone.name='\${oc.env:HOME}'", "backbone.name='$','{oc.env:HOME}'", "+x='${a'",
]  # fmt: skip
PLACES = [
    "hydra.searchpath=[file:///tmp]", "hydra/launcher=basic", "+hydra.callbacks.x._target_=os.system", "~hydra.run",
    "+hydra={}", "+callbacks@hydra.callbacks=default", "run_dir=/elsewhere", "sweep_dir=/elsewhere",
]  # fmt: skip
CHOICES = ["data=../../evil", "logger=[csv,/tmp/evil]", "head=linear,../evil", "+experiment=a/b", "logger=${x}"]
MALFORMED = [
    "",
    "a",
    "a=[",
    "--config-dir=/tmp/evil",
    "-m",
    "=[[",
    "a=" + "[" * 5000 + "]" * 5000,
    "a/../b=1",
    1,
    None,
    ["a=1"],
]


def test_what_a_run_may_have_been_told_passes_as_it_is() -> None:
    assert refuse_strangers_code(HARMLESS, SOURCE) == HARMLESS


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        *((override, "has an interpolation") for override in INTERPOLATIONS),
        *((override, "chooses where configs come from or files go to") for override in PLACES),
        *((override, "is not a choice of conf/") for override in CHOICES),
        *((override, "is not an override") for override in MALFORMED),
    ],
)
def test_a_strangers_override_runs_nothing_and_is_named(override: object, reason: str) -> None:
    with pytest.raises(ValueError, match="refused, as a stranger could have written it") as caught:
        refuse_strangers_code(["seed=1", override], SOURCE)
    assert str(SOURCE) in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("override", [*INTERPOLATIONS, *CHOICES, "run_dir=/elsewhere"])
def test_what_was_typed_in_this_checkout_may_go_on(override: str) -> None:
    note_typed(["-m", "seed=1", override])
    assert trusted.TYPED.read_text().count("\n") == 1, "what needs no trust was written down"
    note_typed(["seed=2"])  # another process, later
    note_typed(["seed=1", override])
    assert trusted.TYPED.read_text().count("\n") == 1
    assert refuse_strangers_code(["seed=1", override], SOURCE) == ["seed=1", override]
    with pytest.raises(ValueError, match="refused"):
        refuse_strangers_code([f"{override}x${{oc.env:HOME}}"], SOURCE)


def test_a_memory_that_is_damaged_or_can_not_be_written_holds_nothing(tmp_path: Path, monkeypatch) -> None:
    trusted.TYPED.write_text('"data.root=${oc.env:HOME}"\n"half')
    with pytest.raises(ValueError, match="refused"):
        refuse_strangers_code(["data.root=${oc.env:HOME}"], SOURCE)
    monkeypatch.setattr(trusted, "TYPED", tmp_path / "nowhere" / ".typed")
    note_typed(["data.root=${oc.env:HOME}"])


def test_an_override_cannot_play_with_the_terminal() -> None:
    with pytest.raises(ValueError, match=r"x1b\[2J") as caught:
        refuse_strangers_code(["a\x1b[2J\nb"], SOURCE)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"- 'a=b\n", b"\xff\xfe\x00", b"[" * 5000, b"!!python/object/apply:os.system [id]", b""]
)
def test_a_yaml_that_is_not_plain_holds_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "overrides.yaml").write_bytes(content)
    assert read_plainly(tmp_path / "overrides.yaml") is None


def test_a_yaml_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "abc")
    (tmp_path / "overrides.yaml").write_text("- seed=1\n- data.root=${oc.env:SECRET}\n- ~logger\n")
    assert read_plainly(tmp_path / "overrides.yaml") == ["seed=1", "data.root=${oc.env:SECRET}", "~logger"]
    assert read_plainly(tmp_path / "nothing.yaml") is None
