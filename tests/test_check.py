from pathlib import Path

import pytest

import headstart.data.check as module
from headstart.data.check import check_pictures


def files(pictures: Path, tmp_path: Path, count: int = 15) -> list[str]:
    sources = sorted(pictures.glob("train/*/*.jpg"))[:count]
    for i, source in enumerate(sources):
        (tmp_path / f"{i:02}.jpg").write_bytes(source.read_bytes())
    return [str(tmp_path / f"{i:02}.jpg") for i in range(count)]


def test_up_to_ten_broken_pictures_are_named_and_the_rest_counted(pictures: Path, tmp_path: Path) -> None:
    paths = files(pictures, tmp_path)
    for path in paths[:12]:
        Path(path).write_bytes(Path(path).read_bytes()[:300])
    with pytest.raises(ValueError, match="and 2 more") as caught:
        check_pictures(paths, tmp_path / "passed")
    assert sum(path in str(caught.value) for path in paths) == 10


def test_the_same_files_are_checked_once(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = files(pictures, tmp_path)
    check_pictures(paths, tmp_path / "passed")
    with monkeypatch.context() as patched:
        patched.setattr(module, "read_picture", lambda path: pytest.fail(f"{path} was decoded again"))
        check_pictures(reversed(paths), tmp_path / "passed")
    Path(paths[3]).write_bytes(b"changed")
    with pytest.raises(ValueError, match=r"03\.jpg can't be decoded"):
        check_pictures(paths, tmp_path / "passed")
