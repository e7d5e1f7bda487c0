from pathlib import Path

import pytest
from odd_images import SIDE, TOO_LARGE, bomb, saved

import headstart.images.checks as module
from headstart.images.checks import check_images


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
        patched.setattr(module, "read_image", lambda path: pytest.fail(f"{path} was decoded again"))
        check_images(reversed(paths), tmp_path / "checked")
    Path(paths[3]).write_bytes(b"changed")
    with pytest.raises(ValueError, match=r"03\.jpg can't be decoded"):
        check_images(paths, tmp_path / "checked")


@pytest.mark.parametrize("ending", ["png", "jpeg"])
def test_a_bomb_is_not_decoded(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bomb").write_bytes(bomb(ending))
    for decoder in ("_decode_jpeg", "_decode_with_pillow"):
        monkeypatch.setattr(f"headstart.images.decoding.{decoder}", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(ValueError, match=TOO_LARGE):
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
