"""What a published folder is made of: its card, whatever classes are called; its loader; its place; and its way up."""

import json
import re
import runpy
import sys
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_hub import fake_hub
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from PIL import Image
from run_folders import ODD
from runs import ROOT
from torch import nn

from headstart.backbone import Preprocessing
from headstart.errors import UserError
from headstart.extras.serving.about import without_folder
from headstart.extras.serving.plain import Plain
from headstart.extras.serving.publishing import load as loader
from headstart.extras.serving.publishing.card import Card, write_card
from headstart.extras.serving.publishing.config import crop_fraction
from headstart.extras.serving.publishing.folder import refuse_to_replace, replaced
from headstart.extras.serving.publishing.hub import check_repo, upload
from headstart.extras.serving.publishing.markdown import code, escaped, table
from headstart.images.decoding import read_image
from headstart.images.transforms import ResizeAndCrop

HOSTILE = [
    *ODD, "<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](//evil/x.png)", "a | b", "`rm`", "```", "---",
    "# head", "&lt;b&gt;", "**b**", "~~x~~", "https://evil.example", "<!-- x", "\\|", "1. x", "{{ 7 * 7 }}",
    "\u202eabc", "- : {yaml: [", "\0",
]  # fmt: skip


def known(classes: list[str]) -> dict[str, Any]:
    """As `about` has it."""
    preprocessing = {"resize": 256, "crop": 224, "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.5] * 3}
    return {
        "classes": classes,
        "preprocessing": preprocessing,
        "backbone": {"_target_": "a.b", "name": "x"},
        "backbone_license": "mit",
        "metrics": {"test/accuracy": 0.5, "test/f1": float("nan"), "test/loss": 1.0},
    }


def test_a_card_shows_any_class_as_it_is_called(tmp_path: Path) -> None:
    many = len(HOSTILE)
    counts, scores = {"train": [7] * many, "test": [3] * many}, [(0.5, 0.5, 0.5, 3)] * many
    card = Card("a: [b", license="cc0-1.0", counts=counts, split="test", scores=scores, ece=(0.1, 0.05))
    write_card(tmp_path / "README.md", card, known(HOSTILE), Plain(nn.Linear(2, 2)), ["history", "reliability"])
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    parsed = ModelCard(text)
    data: Any = parsed.data
    assert (data.license, data.pipeline_tag, data.metrics) == ("cc0-1.0", "image-classification", ["accuracy"])
    assert [(result.metric_type, result.metric_value) for result in data.eval_results] == [("accuracy", 0.5)]
    html = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(parsed.text)
    expected = "h1 h2 p ul li table thead tbody tr th td pre code img em"
    assert set(re.findall(r"<[/!]?(\w*)", html)) == set(expected.split())
    assert re.findall(r'(?:src|href)="(.*?)"', html) == ["plots/history.png", "plots/reliability.png"]
    rows = [row for row in re.findall(r"<tr>\n(.*?)</tr>", html, re.DOTALL) if row.count("<td") == 3]
    assert len(rows) == many + 1  # and all of them
    shown = [unescape(re.findall("<td>(.*?)</td>", row)[0]) for row in rows[:-1]]
    for name, found in zip(HOSTILE, shown, strict=True):
        wanted = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
        wanted = " ".join("".join(c if c.isprintable() else " " for c in wanted).split()) or "(empty)"
        assert found == (wanted if len(wanted) <= 80 else f"{wanted[:79]}…")


def test_a_card_without_scores_has_no_empty_lists_at_its_head(tmp_path: Path) -> None:
    nothing = known(["a", "b"]) | {"metrics": {}}
    write_card(tmp_path / "README.md", Card("x"), nothing, Plain(nn.Linear(2, 2)), [])
    head = (tmp_path / "README.md").read_text().split("---")[1]
    assert "[]" not in head
    assert "model-index" not in head
    assert "license: unknown" in head


def test_code_ends_where_it_ends() -> None:
    html = MarkdownIt().render(code("python", "x = 1\n```\n# y"))
    assert html.startswith("<pre>")
    assert html.rstrip().endswith("</pre>")
    assert "# y" in html
    assert table(["a", "b"], [[escaped("x|y"), 1]]).splitlines()[2] == "| x\\|y | 1 |"


def test_a_crop_of_timms_comes_to_the_same_size() -> None:
    for resize in range(1, 700):
        for crop in range(1, resize + 1):
            assert int(crop / crop_fraction(resize, crop)) == resize


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("/home/me/secret/w.pt", "w.pt"), ("~/w.pt", "w.pt"), ("mine/w.safetensors", "w.safetensors"), (3, 3),
        ("C:\\Users\\me\\w", "w"), ("./vit/", "vit"), ("google/vit-base", "google/vit-base"), ("DEFAULT", "DEFAULT"),
        ("resnet50.a1_in1k", "resnet50.a1_in1k"), (None, None),
    ],
)  # fmt: skip
def test_of_a_path_its_last_part_is_told(value: object, said: object) -> None:
    assert without_folder(value) == said


LOOKS = {
    "upright.jpg": {}, **{f"turned_{n}.jpg": {"orientation": n} for n in range(2, 9)}, "turned.png": {"orientation": 6},
    "transparent.png": {"mode": "RGBA"}, "grey.png": {"mode": "L"}, "palette.gif": {"mode": "P"},
    "print.jpg": {"mode": "CMYK"}, "pale.png": {"mode": "LA"}, "one_bit.png": {"mode": "1"},
    "wide.jpg": {"size": (500, 9)},
}  # fmt: skip


def image(path: Path, mode: str = "RGB", orientation: int = 1, size: tuple[int, int] = (60, 37)) -> Path:
    """Noise, as an image file."""
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(noise, "RGBA" if mode == "RGBA" else "CMYK").convert(mode).save(path, exif=exif)
    return path


@pytest.mark.filterwarnings("ignore:'mode' parameter:DeprecationWarning")
@pytest.mark.parametrize("resize", [24, (20, 33)])
@pytest.mark.parametrize("name", LOOKS)
def test_the_loader_sees_what_the_model_was_trained_on(tmp_path: Path, name: str, resize: Any) -> None:
    path = image(tmp_path / name, **LOOKS[name])
    preprocessing = Preprocessing(resize, 20, "bicubic", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    said = {"resize": list(resize) if isinstance(resize, tuple) else resize, "crop": 20, "interpolation": "bicubic"}
    said |= {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
    config = {"label_names": ["a"], "headstart": {"preprocessing": said, "temperature": 2.0}}
    found = loader.Model(nn.Identity(), config, calibrated=False, device="cpu").prepare(path)
    mean, std = preprocessing.mean_and_std()
    wanted = (ResizeAndCrop(preprocessing)(read_image(path)) - mean[0]) / std[0]
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff\xe0broken", "cut.jpg", "16 bits.png"])
def test_the_loader_names_what_it_cant_read(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "x.jpg"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "cut.jpg":
        path.write_bytes(image(path).read_bytes()[:-300])
    else:
        Image.fromarray(np.full((9, 9), 4000, dtype=np.uint16)).save(path, "png")
    with pytest.raises(ValueError, match=r"x\.jpg can't be decoded"):
        loader.read(path)


def test_a_folder_is_replaced_as_a_whole_and_only_if_it_was_published(tmp_path: Path) -> None:
    place = tmp_path / "published"
    for text in ("first", "second"):
        with replaced(place) as folder:
            (folder / "config.json").write_text(json.dumps({"headstart": text}))
    with pytest.raises(OSError, match="there is no"), replaced(place) as folder:
        (folder / "there is no" / "config.json").write_text("half")
    assert json.loads((place / "config.json").read_text()) == {"headstart": "second"}
    assert [path.name for path in tmp_path.iterdir()] == ["published"]
    (place / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"published holds notes\.txt, which wasn't published from here"):
        refuse_to_replace(place)


@pytest.mark.parametrize("content", ['{"architecture": "resnet18"}', "[", '"headstart"', "3", "\udcff"])
def test_what_isnt_ours_is_not_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=r"holds config\.json, which wasn't published"):
        refuse_to_replace(tmp_path)
    with pytest.raises(UserError, match="is a file"):
        refuse_to_replace(tmp_path / "config.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A few files to upload, and one that isn't."""
    place = tmp_path / "published"
    (place / "__pycache__").mkdir(parents=True)
    (place / "README.md").write_text("# x\n")
    (place / "__pycache__" / "load.pyc").write_text("x")
    return place


@pytest.mark.parametrize("public", [False, True])
def test_a_folder_is_uploaded_and_no_token_is_printed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], public: bool
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with fake_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
        assert upload(folder, "user/name", public) == f"{hub.address}/user/name"
        upload(folder, "user/name", public)
    assert [made["visibility"] for made in hub.made] == ["public" if public else "private"] * 2
    assert hub.files == {"README.md": b"# x\n"}
    assert "Bearer hf_secret" in hub.tokens
    assert "hf_secret" not in "".join(capfd.readouterr())


def test_what_hinders_an_upload_is_told_in_a_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with fake_hub(refuses=True) as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
        with pytest.raises(UserError, match=r"published is written, but not uploaded to user/name \(.*403") as caught:
            upload(folder, "user/name", public=False)
    said = [str(caught.value)]
    with pytest.raises(UserError, match="is written, but not uploaded to user/name") as caught:  # nobody listens there
        upload(folder, "user/name", public=False)
    said.append(str(caught.value))
    assert all("\n" not in line and "hf_secret" not in line for line in said)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(UserError, match="there is no token: sign in by `hf auth login`, or set HF_TOKEN"):
        upload(folder, "user/name", public=False)
    for repo in ("name", "a/b/c", "user/na me", "-/x"):
        with pytest.raises(UserError, match=f"--hub {repo}"):
            check_repo(repo)
    assert (folder / "README.md").exists()


class Exploit:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return Path.touch, (self.marker,)


def test_a_strangers_checkpoint_runs_nothing(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workdir / "run" / "checkpoints").mkdir(parents=True)
    torch.save({"hyper_parameters": Exploit(workdir / "owned")}, workdir / "run" / "checkpoints" / "best.ckpt")
    monkeypatch.setattr(sys, "argv", ["publish.py", "run"])
    with pytest.raises(SystemExit, match=r"^error: the checkpoint .*best\.ckpt can't be read [^\n]*$"):
        runpy.run_path(str(ROOT / "scripts/publish.py"), run_name="__main__")
    assert not (workdir / "owned").exists()
    assert not (workdir / "run" / "published").exists()
