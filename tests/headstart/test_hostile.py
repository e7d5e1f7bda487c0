"""Files from a stranger: what a run's folder and the feature cache hold runs no code, and is refused in one line."""

import json
import runpy
import struct
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from runs import DELETED, ROOT, Train

from headstart.features.file import read_features
from headstart.features.inventory import read_metadata
from headstart.resume.going_on import sweep_overrides

FEATURES = {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}
HEADERS = {
    "no JSON": b"{{{{",
    "no text": b"\xff\xfe{}",
    "a list": b"[1]",
    "too few bytes": json.dumps({"features": FEATURES | {"data_offsets": [0, 4]}}).encode(),
    "beyond the end": json.dumps({"features": FEATURES | {"shape": [9, 9], "data_offsets": [0, 324]}}).encode(),
    "a negative shape": json.dumps({"features": FEATURES | {"shape": [-1, 2]}}).encode(),
    "another tensor": json.dumps({"others": FEATURES}).encode(),
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_feature_file_with_a_broken_header_is_damaged(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "evil.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(ValueError, match=r"evil\.safetensors is damaged") as caught:
        read_features(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"x" * 100, struct.pack("<Q", 2**62) + b"{}"])
def test_a_feature_file_without_a_header_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "evil.safetensors").write_bytes(content)
    for read in (read_features, read_metadata):
        with pytest.raises(ValueError, match=r"evil\.safetensors is damaged"):
            read(tmp_path / "evil.safetensors")


class Exploit:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return Path.touch, (self.marker,)


def start(monkeypatch: pytest.MonkeyPatch, script: str, *arguments: str) -> None:
    """Run a script with nothing but these arguments: everything else comes from the run's folder."""
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    runpy.run_path(str(ROOT / script), run_name="__main__")


@pytest.mark.slow
def test_a_strangers_run_is_neither_gone_on_with_nor_evaluated(
    train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (run_dir,) = train()
    config = run_dir / ".hydra" / "config.yaml"
    kept = config.read_text()
    evil = {"x": {"_target_": "os.mkdir", "path": f"{tmp_path}/owned"}}
    config.write_text(yaml.safe_dump(yaml.safe_load(kept) | {"callbacks": evil, "logger": evil, "data": evil["x"]}))
    for script, argument in (("train.py", f"resume={run_dir}"), ("scripts/evaluate.py", str(run_dir))):
        with pytest.raises(SystemExit, match=r"os\.mkdir'? (isn't trusted|is not in the Hydra exec)"):
            start(monkeypatch, script, argument)
    config.write_text(kept)
    torch.save({"hyper_parameters": Exploit(tmp_path / "owned")}, run_dir / "checkpoints" / "best.ckpt")
    with pytest.raises(SystemExit, match=r"^error: the checkpoint .*best\.ckpt can't be read"):
        start(monkeypatch, "scripts/evaluate.py", str(run_dir))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hydra: {overrides: {task: ['data.root=${oc.env:HOME}']}}", r"multirun\.yaml is refused.*an interpolation"),
        ("hydra: {overrides: {task: 'seed=1'}}", "is not the folder of a sweep"),
        ("- hydra", "is not the folder of a sweep"),
    ],
)
def test_a_strangers_sweep_is_not_gone_on_with(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "multirun.yaml").write_text(content)
    with pytest.raises(ValueError, match=message):
        sweep_overrides(tmp_path)


def strange_run(run_dir: Path, overrides: list[str]) -> None:
    """What a run's folder says that somebody has sent."""
    with initialize_config_dir(str(ROOT / "conf")):
        cfg = compose("train", overrides)
    (run_dir / ".hydra").mkdir(parents=True)
    (run_dir / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    (run_dir / ".hydra" / "config.yaml").write_text(OmegaConf.to_yaml(cfg))


with_shards = pytest.mark.skipif("data=webdataset" in DELETED, reason="an extra")
HIDDEN = [
    ["data.train='pipe:touch owned'"],
    ["data.train='a.tar::PIPE:touch owned'"],
    ["data.train='p{i,}pe:touch owned'"],
    ["data.train=['pi\tpe:touch owned']"],
    ["data.train='${a}${b}'", "+a=pi", "+b='pe:touch owned'"],
    ["data.train=typed.tar", "data.val='${data.classes}'", "data.classes='pipe:touch owned'"],
    ["data={_target_:headstart.extras.shards.data.ShardData,train:'pipe:touch owned'}"],
]


@with_shards
@pytest.mark.parametrize("overrides", HIDDEN, ids=str)
def test_a_strangers_shards_run_no_command(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch, workdir: Path
) -> None:
    strange_run(workdir / "run", ["data=webdataset", "logger=none", *overrides])
    scripts = [("train.py", "resume=run"), ("scripts/evaluate.py", "run")]
    for script, argument in scripts if overrides is HIDDEN[0] else scripts[:1]:
        with pytest.raises(SystemExit, match=r"^error: .*runs a shell command, and stands in a config that a stranger"):
            start(monkeypatch, script, argument)
    assert not (workdir / "owned").exists()


@with_shards
def test_what_is_typed_may_be_a_command_now_and_later(monkeypatch: pytest.MonkeyPatch, workdir: Path) -> None:
    strange_run(workdir / "run", ["data=webdataset", "data.train='pipe:touch strange'"])
    typed = ["data.train=pipe:touch typed | cat", "data.classes=[a,b]", "trainer.accelerator=cpu", "logger=none"]
    with pytest.raises(SystemExit, match=r"^error: the shard pipe:touch typed \| cat can't be read"):
        start(monkeypatch, "train.py", "resume=run", *typed)
    assert (workdir / "typed").exists()
    assert not (workdir / "strange").exists()
    (workdir / "typed").unlink()
    with pytest.raises(SystemExit, match=r"^error: the shard pipe:touch typed \| cat can't be read"):
        start(monkeypatch, "train.py", "resume=run")
    assert (workdir / "typed").exists()
    assert not (workdir / "strange").exists()
