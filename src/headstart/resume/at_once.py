"""Mistakes that show in what is typed alone, told before Hydra composes the config: that takes half of a start."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from ..errors import CONF_DIR, UserError, explain_key, known_keys
from ..job_configs import is_plain
from .arguments import TARGET, takes
from .implied import is_free
from .places import check_place
from .quoting import parsed
from .trusted import read_plainly

SEARCHPATH = "searchpath"  # of Hydra, by which keys come from elsewhere than conf/
NAME = re.compile(r"[^\W\d]\w*")


def refuse_at_once(arguments: list[str]) -> None:
    """Raise UserError for a key that no file of conf/ has a word for, and for a folder or file that isn't there.

    It looks only at command lines that give plain values to keys of conf/; whatever else is typed, Hydra decides.
    """
    overrides = [parsed(argument) for argument in arguments]
    if not all(one and is_plain(one) for one in overrides) or not _is_all_in_conf():
        return
    values = {one.key_or_group: one.value() for one in overrides if one}
    for key in values:
        if _is_unknown(key):
            raise UserError(explain_key(key))
    if not any(map(is_free, arguments)):  # whose files may name another _target_
        _check_places(values)


def _is_unknown(key: str) -> bool:
    """Whether no choice has the key; of those further below, such as `logger.csv.x`, Hydra knows which choices have."""
    above, _, name = key.rpartition(".")
    if not NAME.fullmatch(name) or name in _words(CONF_DIR):
        return False
    return not above or ("." not in above and any(known.startswith(f"{above}.") for known in known_keys()))


def _is_all_in_conf() -> bool:
    """Whether no key can come from elsewhere: from another folder, or from a dataclass that an owner has stored."""
    stored = ConfigStore.instance().repo
    return SEARCHPATH not in _words(CONF_DIR) and all(name.startswith(("hydra", "_")) for name in stored)


@cache
def _words(folder: Path) -> set[str]:
    """Every word in the YAML files below a folder, and in their paths; keys and groups are among them."""
    texts = (f"{path.relative_to(folder)} {path.read_text()}" for path in folder.rglob("*.yaml"))
    return set(re.findall(r"\w+", " ".join(texts)))


def _check_places(values: Mapping[str, Any]) -> None:
    """Raise UserError for a place that isn't there, of a choice that is typed with it."""
    for group, choice in values.items():
        files = {path.stem: path for path in (CONF_DIR / group).glob("*.yaml")}
        content = read_plainly(files[choice]) if choice in files else None
        if not isinstance(content, dict) or f"{group}.{TARGET}" in values:
            continue
        nodes = [node for node in (*content.values(), content) if isinstance(node, dict) and TARGET in node]
        taken = [(takes(str(node[TARGET])) or {}).items() for node in nodes]
        annotations = {name: annotation for items in taken for name, annotation in items}
        for key, value in values.items():
            above, _, name = key.rpartition(".")
            if above == group and value != MISSING:
                check_place(key, value, annotations.get(name))
