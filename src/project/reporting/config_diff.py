"""What of a run's config is other than `python train.py` alone would have it, by the conf/ of today."""

from typing import Any, NamedTuple

from headstart.resume.environment import hide
from headstart.resume.stored_config import StoredConfig, composed_today
from headstart.resume.trusted import OWN_PLACES, leaves

IGNORED = {*OWN_PLACES, "resume"}


class Change(NamedTuple):
    """A key, with its value in one config and in the other; None where it isn't there."""

    key: str
    value: Any
    other: Any


def from_defaults(config: dict[str, Any]) -> list[Change]:
    """The changes from the defaults; raises what Hydra raises where conf/ composes no more."""
    return changes(config, composed_today(StoredConfig({}, [], []))) if config else []


def changes(config: dict[str, Any], other: dict[str, Any]) -> list[Change]:
    """The keys whose values differ, sorted, without secrets."""
    new, old = (_flat(node) for node in (config, other))
    return [
        Change(key, hide(new.get(key)), hide(old.get(key)))
        for key in sorted(new.keys() | old.keys())
        if new.get(key) != old.get(key) and key not in IGNORED
    ]


def _flat(config: dict[str, Any]) -> dict[str, Any]:
    return {".".join(map(str, key)): value for key, value in leaves(config)}
