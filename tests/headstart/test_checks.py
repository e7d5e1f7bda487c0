import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odd_images import SIDE, TOO_LARGE, bomb, saved, tiff
from PIL import Image

import headstart.images.checks as module
from headstart.images.checks import check_images, without_broken
from headstart.images.decoding import read_image, read_with_size
from headstart.images.table import ImageTable, Sample


def files(images: Path, tmp_path: Path, count: int = 15) -> list[str]:
    sources = sorted(images.glob("train/*/*.jpg"))[:count]
    for i, source in enumerate(sources):
        (tmp_path / f"{i:02}.jpg").write_bytes(source.read_bytes())
    return [str(tmp_path / f"{i:02}.jpg") for i in range(count)]


def test_up_to_ten_broken_images_are_named_and_the_rest_counted(images: Path, tmp_path: Path) -> None:
    paths = files(images, tmp_path)
    for path in paths[:12]:
        Path(path).write_bytes(Path(path).read_bytes()[:300])
    with pytest.raises(ValueError, match="and 2 more") as caught:
        check_images(paths, tmp_path / "checked")
    assert sum(path in str(caught.value) for path in paths) == 10


def test_the_same_files_are_checked_once(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = files(images, tmp_path)
    check_images(paths, tmp_path / "checked")
    with monkeypatch.context() as patched:
        patched.setattr(module, "read_with_size", lambda path, *_: pytest.fail(f"{path} was decoded again"))
        check_images(reversed(paths), tmp_path / "checked")
    Path(paths[3]).write_bytes(b"changed")
    with pytest.raises(ValueError, match=r"03\.jpg can't be decoded"):
        check_images(paths, tmp_path / "checked")


@pytest.mark.parametrize("ending", ["png", "jpeg"])
def test_a_bomb_is_not_decoded(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bomb").write_bytes(bomb(ending))
    for decoder in ("_decode_jpeg", "_decode_with_pillow"):
        monkeypatch.setattr(f"headstart.images.decoding.{decoder}", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(ValueError, match=rf"{TOO_LARGE} \(data\.max_pixels\)"):
        check_images([str(tmp_path / "bomb")], tmp_path)


def test_the_limit_can_be_raised_above_pillows_and_is_remembered(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(bomb("png"))
    with pytest.raises(ValueError, match=r"large\.png can't be decoded \(image file is truncated"):
        check_images([str(tmp_path / "large.png")], tmp_path, max_pixels=SIDE**2)
    (tmp_path / "small.png").write_bytes(saved("png"))
    for limit, broken in (64 * 64, 0), (64 * 64 - 1, 1), (64 * 64, 0):
        assert len(check_images([str(tmp_path / "small.png")], tmp_path, "skip", limit).broken) == broken


def test_permissions(nobody: Path) -> None:
    path, other = nobody / "a" / "1.png", nobody / "b" / "2.png"
    for file in (path, other):
        file.parent.mkdir()
        file.write_bytes(saved("png"))
    path.chmod(0)
    with pytest.raises(ValueError, match=r"1\.png can't be decoded \(Permission denied\)"):
        check_images([str(path), str(other)], nobody)
    assert check_images([str(path), str(other)], nobody, "skip").broken == {str(path)}
    path.chmod(0o600)
    assert check_images([str(path), str(other)], nobody).broken == set()


def noise(path: Path, **options: Any) -> bytes:
    """A JPEG of a few hundred blocks, none of them equal."""
    Image.effect_noise((160, 120), 80).convert("RGB").save(path, quality=90, **options)
    return path.read_bytes()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_damage_that_the_decoder_warns_of_is_named(
    tmp_path: Path, options: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    names = [f"{number}.jpg" for number in range(12)]
    damage = {"3.jpg": "cut, and ended", "5.jpg": "a hole", "8.jpg": "cut", "9.jpg": "zeros"}
    for name in names:
        content = noise(tmp_path / name, **options)
        third, middle = len(content) // 3, len(content) // 2
        broken = {
            "cut, and ended": content[:third] + b"\xff\xd9",
            "a hole": content[:middle] + content[middle + 2000 :],
            "cut": content[:middle],
            "zeros": content[:middle] + bytes(len(content) - middle),
        }
        (tmp_path / name).write_bytes(broken[damage[name]] if name in damage else content)
    paths = [str(tmp_path / name) for name in names]
    with pytest.raises(ValueError, match=r"data\.on_error=skip") as caught:
        check_images(paths, tmp_path / "checked")
    assert {line.split(" can't")[0] for line in str(caught.value).split("; ")} == {str(tmp_path / n) for n in damage}
    assert check_images(paths, tmp_path / "checked", "skip").broken == {str(tmp_path / name) for name in damage}
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_that_lacks_but_its_end_mark_is_whole(
    tmp_path: Path, options: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.jpg"
    content = noise(path, **options)
    with Image.open(path) as image:
        whole = np.asarray(image.convert("RGB")).astype(int)
    path.write_bytes(content[:-2])
    assert check_images([str(path)], tmp_path).broken == set()
    assert np.abs(read_image(path).permute(1, 2, 0).numpy() - whole).mean() < 2  # two versions of libjpeg
    last_scan = content.rindex(b"\xff\xda")  # without it, a progressive JPEG is whole but for its finest bits
    for length in (len(content) // 2, *([last_scan, last_scan - 3] if options else [])):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"a\.jpg can't be decoded \(Image is incomplete or truncated"):
            read_image(path)
    assert capfd.readouterr().err == ""


def test_what_others_print_meanwhile_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / f"{number}.jpg" for number in range(4)]
    said = []

    def read(path: str, *options: int) -> object:
        if path == str(paths[2]) and not said:
            said.append(os.write(2, b"another thread\n"))
        return read_with_size(path, *options)

    for path in paths:
        noise(path)
    monkeypatch.setattr(module, "read_with_size", read)
    assert check_images(map(str, paths), tmp_path).broken == set()
    assert capfd.readouterr().err == "another thread\n"


@pytest.mark.parametrize(("varied", "warned"), [(1, True), (3, False)])
def test_nearly_all_images_of_one_colour_are_warned_of(
    tmp_path: Path, varied: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    samples = [Sample(str(tmp_path / f"{number:02}.tif"), number % 2) for number in range(20)]
    for number, (path, _) in enumerate(samples):
        twelve_bits = np.random.default_rng(number).integers(0, 4096, (60, 40))
        Path(path).write_bytes(tiff((twelve_bits * (16 if number < varied else 1)).astype("<u2")))
    table = ImageTable(("a", "b"), tuple(samples[:12]), tuple(samples[12:16]), tuple(samples[16:]))
    for _ in range(2):  # the second time, from what is remembered
        caplog.clear()
        without_broken(table, tmp_path / "checked", "raise", 10**6)
        assert ("19 of 20 images are almost one colour" in caplog.text) == warned
