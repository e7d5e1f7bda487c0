"""Shards: tar files that hold each image and its label under one name, read as streams from anywhere; their classes."""

import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlparse

from ...errors import UserError, listed
from ...files import manifest, write_atomically
from ...images.endings import ENDINGS

IMAGES = frozenset(ending[1:] for ending in ENDINGS)
LABELS = ("cls", "json")
NAMES = "classes.txt"  # beside the shards: a class name a line
BLOCK = 512  # bytes; a tar archive ends in two of them that are zero


class Member(NamedTuple):
    """A file in a shard: its name up to its ending, that, its content where it is wanted, and what is odd about it."""

    key: str
    ending: str
    content: bytes
    name: str
    remark: str


class Packed(NamedTuple):
    """One sample as it lies in a shard: its image's bytes and its label's text, or what is wrong with its files."""

    shard: str
    key: str
    content: bytes
    label: str
    problem: str = ""

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"{self.key} in {self.shard}"

    @property
    def lasting_name(self) -> str:
        """What it is called wherever the shards lie."""
        return f"{self.shard.rsplit('/', maxsplit=1)[-1]} {self.key}"


@dataclass(frozen=True)
class ShardSplit:
    """Those samples of some shards whose place in [0, 1) is in [low, high); `seed` decides every sample's place."""

    shards: tuple[str, ...]
    low: float = 0.0
    high: float = 1.0
    seed: int = 0

    def has(self, sample: Packed) -> bool:
        """Whether it holds the sample; its name alone decides, so no stream needs to know of the others."""
        if (self.low, self.high) == (0.0, 1.0):
            return True
        digest = blake2b(f"{self.seed} {sample.lasting_name}".encode(errors="surrogateescape"), digest_size=4).digest()
        return self.low <= int.from_bytes(digest) / 2**32 < self.high


def webdataset() -> Any:
    """The library; raises UserError where it isn't installed."""
    try:
        import webdataset as library
    except ImportError as error:
        raise UserError("data=webdataset needs a library: pip install -e .[webdataset]") from error
    return library


def expand_shards(given: str | list[str] | None) -> tuple[str, ...]:
    """Paths, URLs and pipes, `x-{000..099}.tar::y.tar` written out; raises UserError for a file that isn't there."""
    if not given:
        return ()
    shards = [shard for text in ([given] if isinstance(given, str) else given) for shard in _expanded(str(text))]
    missing = [shard for shard in shards if is_local(shard) and not Path(shard).is_file()]
    if missing:
        raise UserError(f"{len(missing):,} of {len(shards):,} shards aren't there, {missing[0]} for one ({given})")
    return tuple(shards)


def has_command(text: str) -> bool:
    """Whether one of the shards that a text stands for is what a shell command writes."""
    return any(urlparse(shard).scheme == "pipe" for shard in _expanded(text))  # as webdataset looks at it


def is_local(shard: str) -> bool:
    """Whether it is the path of a file, and no URL."""
    return not urlparse(shard).scheme


def read_shard(shard: str, with_images: bool = True) -> Iterator[Packed]:
    """Every sample of a shard in its order, from one pass over it; local ones are skipped through without images.

    Files that follow one another are a sample if their names are equal up to the first dot behind the last slash; what
    is behind that dot is the ending, as in webdataset. Names of no image and no label are passed over.

    Raises:
        UserError: it can't be read to the end mark of a tar archive, or a sample has no label.
    """
    seen: set[str] = set()
    for key, members in groupby(_members(shard, with_images), key=attrgetter("key")):
        files = list(members)
        problem = _problem(files) or ("has the name of an earlier one: rename one of them" if key in seen else "")
        seen.add(key)
        if any(file.ending.rpartition(".")[2] in (*LABELS, *IMAGES) for file in files):
            contents = {file.ending: file.content for file in files if not file.remark}
            labelled = not problem or contents.keys() & set(LABELS)
            label = _label(contents, f"{key} in {shard}") if labelled else ""
            content = next((contents[ending] for ending in contents if ending in IMAGES), b"")
            yield Packed(shard, key, content, label, problem)


def _problem(files: list[Member]) -> str:
    """What is wrong with a sample's files, in words that follow its name; "" for nothing."""
    names = listed([file.name + file.remark for file in files])
    labels = [file.ending for file in files if file.ending in LABELS]
    images = sum(file.ending in IMAGES and not file.remark for file in files)
    if not images:
        return f"has no image ({names}): its name has one dot, and one of {', '.join(sorted(IMAGES))} behind it"
    if images > 1 or len(set(labels)) < len(labels):
        return f"has {images} images and {len(labels)} labels ({names}): keep one of each"
    return ""


def _expanded(text: str) -> list[str]:
    try:
        shards = webdataset().shardlists.expand_urls(text)
    except (AssertionError, ValueError) as error:  # a brace that isn't closed, or a variable that isn't set
        raise UserError(f"{text!r} can't be written out as shards ({error})") from error
    shards = [re.sub("^file:(//)?", "", shard) for shard in shards]
    return [str(Path(shard).expanduser()) if is_local(shard) else shard for shard in shards]


def _members(shard: str, with_images: bool) -> Iterator[Member]:
    """The files of a tar archive that have an ending, with the content of labels and, if wanted, images.

    Not by webdataset's own reader: it takes an archive that is cut off between two files for a whole one, and a
    transfer that fails at its end for one that succeeded.
    """
    wanted = {*LABELS, *(IMAGES if with_images else ())}
    mode: Any = "r:*" if is_local(shard) and not with_images else "r|*"
    try:
        with webdataset().gopen(shard) as stream, tarfile.open(fileobj=stream, mode=mode) as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # pyright: ignore[reportAttributeAccessIssue] (or it would remember all of them)
                key, ending = webdataset().tariterators.base_plus_ext(member.name)
                if key and not member.isdir():
                    plain = member.isreg() and not member.issparse()
                    file = archive.extractfile(member) if plain and ending.lower() in wanted else None
                    remark = (
                        "" if plain else ", which is a link" if member.issym() or member.islnk() else ", no plain file"
                    )
                    yield Member(key, ending.lower(), file.read() if file else b"", member.name, remark)
            if archive.fileobj is None or archive.fileobj.read(BLOCK) != bytes(BLOCK):
                raise tarfile.ReadError("it is cut off, or damaged in the middle")
            while stream.read(1 << 20):  # what pads it: a command that can't write it all would end with an error
                pass
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error) as error:
        # A transfer's error quotes its command, which may hold a token.
        reason = "the transfer failed" if type(error) is OSError and error.strerror is None else error
        raise UserError(f"the shard {shard} can't be read ({reason}): replace it, or leave it out") from None


def _label(sample: dict[str, bytes], name: str) -> str:
    """The text of `cls`; or a JSON string or number, or the entry `label` or `cls` of a JSON object."""
    try:
        value = sample["cls"].decode().strip() if "cls" in sample else json.loads(sample["json"])
        if isinstance(value, dict):
            value = value["label"] if "label" in value else value["cls"]
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise ValueError(value)
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{name} has no label: a file that ends in .cls must stand beside the image (tar --sort=name) and hold a "
            "number or a name, or one in .json that is one or has it as `label`"
        ) from error
    return str(int(value)) if str(value).isdecimal() else str(value)


def class_names(
    given: str | Path | list[str] | None, shards: tuple[str, ...], checked_dir: str | Path
) -> tuple[str, ...]:
    """The names in label order: those given, or a text file's lines, or those of `classes.txt` beside the shards.

    Without any, local shards are looked through once for their labels; `checked_dir` remembers what was found.

    Raises:
        UserError: there is no such file, no name for shards that aren't local, a name twice, or only one.
    """
    if given is None and is_local(shards[0]) and (beside := Path(shards[0]).with_name(NAMES)).is_file():
        given = beside
    names = _lines(Path(given)) if isinstance(given, str | Path) else [str(name) for name in given or ()]
    names = names or _found(shards, Path(checked_dir))
    twice = [name for name in names if names.count(name) > 1] if len(set(names)) < len(names) else []
    if twice or len(names) < 2:
        problem = f"the class {twice[0]!r} twice" if twice else f"{len(names)} class(es), but a classifier needs two"
        raise UserError(f"{given or shards[0]} has {problem} (data.classes)")
    return tuple(names)


def label_numbers(classes: tuple[str, ...]) -> dict[str, int]:
    """Every text that a label may be, with its class: a name; or the class's number, unless names are numbers."""
    names = {name: number for number, name in enumerate(classes)}
    return names if all(map(str.isdecimal, classes)) else {str(number): number for number in names.values()} | names


def number_of(label: str, numbers: dict[str, int], name: str) -> int:
    """A sample's class; raises UserError where its label is none."""
    if label not in numbers:
        raise UserError(f"the label {label!r} of {name} is none of the {len(set(numbers.values()))} classes")
    return numbers[label]


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.expanduser().read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read: give a text file with a class name a line (data.classes)") from error


def _found(shards: tuple[str, ...], checked_dir: Path) -> list[str]:
    """The labels of local shards, numbers in their order; an unfinished look is not remembered."""
    if not all(map(is_local, shards)):
        raise UserError(
            f"which classes does {shards[0]} have? Give data.classes=[...], or a text file with their names"
        )
    record = checked_dir / f"{manifest(shards)}-labels.json"
    if not record.exists():
        labels = {sample.label for shard in shards for sample in read_shard(shard, with_images=False)}
        numbers = all(label.isdecimal() for label in labels)
        write_atomically(record, json.dumps(sorted(labels, key=int) if numbers else sorted(labels)))
    return json.loads(record.read_text())
