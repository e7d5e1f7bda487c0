"""Copies of a network's weights among the state dicts of a file, and how well they fit."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os.path import commonprefix
from textwrap import shorten

import torch
from torch import Tensor, nn

from .weights_file import State

# Of the network itself, and no module's: without them, it is another network. Masks are for training alone.
TOKENS = re.compile(r"(?!mask|decoder)\w*(?:token|pos)\w*$")

QUANTIZED = (torch.int8, torch.uint8)  # weights divided by something, which transformers would take as they are


@dataclass
class Wanted:
    """What a network wants: `state`, without the entries that begin as one of `dropped`; see `load_weights_file`."""

    network: nn.Module
    dropped: tuple[str, ...]
    adapt: Callable[[State], State] | None

    def __post_init__(self) -> None:
        self.state: State = self.network.state_dict()
        self.modules = {name for name, _ in self.network.named_children()}

    def leaves_out(self, name: str) -> bool:
        """Whether the network does without an entry of this name that a file has."""
        module, dot, _ = name.partition(".")
        return name.startswith(self.dropped) or (module not in self.modules if dot else not TOKENS.match(name))


@dataclass
class Copy:
    """What a network could take from one place in a file."""

    name: str  # such as "state_dict.backbone"; "." where it stands alone, at the top
    fitting: State
    left_out: list[str]
    problems: dict[str, list[str]]
    resampled: list[str]

    @property
    def fits(self) -> bool:
        """Whether it is whole, and nothing but it."""
        return not any(self.problems.values())

    @property
    def problem(self) -> str:
        """What doesn't fit, with a few of the names."""
        return ", ".join(f"{len(names)} {what} ({shortened(names)})" for what, names in self.problems.items() if names)

    def equals(self, other: "Copy") -> bool:
        """Whether it is the same, bit for bit."""
        same = self.fitting.keys() == other.fitting.keys()
        return same and all(_equal(value, other.fitting[name]) for name, value in self.fitting.items())


def shortened(names: list[str], most: int = 3) -> str:
    """The first of some names, in one line."""
    return ", ".join([*(shorten(name, 200) or "''" for name in names[:most]), *["..."][: len(names) > most]])


def find_copies(found: dict[str, State], wanted: Wanted, key: str | None) -> list[Copy]:
    """The copies in a file that has these state dicts, the best first; with `key`, those that it names.

    It names the place of one copy exactly, or is a part of the names of several.
    """
    chosen = {f"{place}{prefix}": (found[place], prefix) for place, prefix in _places(found, wanted)}
    if key:
        exact, parts = "" if key == "." else f"{key}.", [place for place in chosen if f".{key}." in f".{place}"]
        chosen = {place: chosen[place] for place in ([exact] if exact in chosen else parts)}
    copies = []
    for place, (state, prefix) in chosen.items():
        names = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        copies.append(_adapted(place.rstrip(".") or ".", names, wanted))
    return sorted(copies, key=lambda copy: -len(copy.fitting))


def _places(found: dict[str, State], wanted: Wanted) -> Iterator[tuple[str, str]]:
    """State dicts, and what stands before the wanted names in them; but where it is few names by chance."""
    counts = Counter[tuple[str, str]]()
    for place, state in found.items():
        ends = ((name, dot.end()) for name in state for dot in re.finditer(r"^|\.", name))
        counts.update((place, name[:end]) for name, end in ends if name[end:] in wanted.state)
    most = max(counts.values(), default=0)
    yield from (one for one, count in counts.items() if count * 2 > most)
    if wanted.adapt and most * 2 < len(wanted.state):  # maybe by other names
        for place, state in found.items():
            prefix = commonprefix(list(state)).rpartition(".")  # noqa: RUF071 (of names, not of paths)
            yield place, "".join(prefix[:2])


def _adapted(name: str, state: State, wanted: Wanted) -> Copy:
    """The copy as it stands; or as `adapt` reads it, if that fits, and changes no size but of position embeddings."""
    copy = _compare(name, state, wanted)
    if copy.fits or not wanted.adapt or any(value.dtype in QUANTIZED for value in state.values()):
        return copy
    try:
        adapted = wanted.adapt(dict(state))
    except Exception:  # made for its own library's files, it fails on others in many ways
        return copy
    other = _compare(name, adapted, wanted)
    pairs = [(name, state[name], value) for name, value in adapted.items() if name in state and name in other.fitting]
    resized = {name: f"{[*old.shape]} to {[*new.shape]}" for name, old, new in pairs if old.numel() != new.numel()}
    other.resampled += [f"{name} {sizes}" for name, sizes in resized.items()]
    return other if other.fits and all("pos" in name for name in resized) else copy


def _compare(name: str, state: State, wanted: Wanted) -> Copy:
    fitting = {name: state[name] for name in wanted.state if name in state}
    others = [name for name in state if name not in fitting]
    left_out = [name for name in others if wanted.leaves_out(name)]
    both = [(name, value, wanted.state[name]) for name, value in fitting.items()]
    problems = {
        "missing": [n for n in wanted.state if n not in fitting and not n.endswith("num_batches_tracked")],
        "of another shape": [
            f"{n} {list(new.shape)} instead of {list(old.shape)}" for n, new, old in both if new.shape != old.shape
        ],
        "of another type": [
            f"{n} {_type(new)} instead of {old.dtype}" for n, new, old in both if not _is_like(new, old)
        ],
        "unexpected": [n for n in others if n not in left_out],
    }
    return Copy(name, fitting, left_out, problems, [])


def _is_like(new: Tensor, old: Tensor) -> bool:
    """Whether it can be copied: whole numbers in place of others were divided by something."""
    plain = new.layout == torch.strided and not new.is_meta and not new.is_complex()
    return plain and (new.is_floating_point() or not old.is_floating_point())


def _type(value: Tensor) -> str:
    return "without values" if value.is_meta else str(value.dtype if value.layout == torch.strided else value.layout)


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)
