"""What a config takes from the environment: its values stay with the run, and secrets out of all that it writes.

A variable is a secret by its name (`HF_TOKEN`, `DB_PASSWORD`, `WANDB_API_KEY`), or by its value, a URL with a password.
"""

import os
import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ..errors import PROJECT_DIR, UserError
from .trusted import REFERENCE, leaves

LINE = re.compile(r"\s*(?:export\s+)?(\w+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\"|(.*?))\s*(?:(?<=\s)#.*)?")
WORDS = r"\w*(?:TOKEN|SECRET|PASSWORD|PASSPHRASE|CREDENTIALS?)|(?:API|ACCESS|PRIVATE)?KEYS?|PASS|PASSWD|PWD|AUTH|DSN"
SECRET = re.compile(rf"(?!PWD$)(?:\w*_)?(?:{WORDS})(?:_\w*)?", re.IGNORECASE)
WITH_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
LONG = 6  # characters from which on a secret is looked for in other values, too
HIDDEN = "***"


def load_env(path: Path = PROJECT_DIR / ".env") -> None:
    """Set the variables that the file `.env` beside train.py names, unless they are set; raises UserError."""
    lines = path.read_text().splitlines() if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            match = LINE.fullmatch(line)
            if not match:
                raise UserError(f"{path}, line {number} is not NAME=VALUE")
            os.environ.setdefault(match[1], next((text for text in match.groups()[1:] if text is not None), ""))


def with_values(cfg: DictConfig, places: tuple[str, ...]) -> DictConfig:
    """A copy of a config that says itself what it took from the environment, the clock and other resolvers.

    References to other keys stay, as do the `places` and what holds a secret: that is looked up again each time.
    """
    made = cfg.copy()
    OmegaConf.set_struct(made, False)
    for key, text in leaves(OmegaConf.to_container(cfg)):
        if isinstance(text, str) and "$" in REFERENCE.sub("", text) and key[0] not in places:
            value = OmegaConf.select(cfg, dotted(key), throw_on_resolution_failure=True)
            if not _is_secret(text, value):
                OmegaConf.update(made, dotted(key), value)
    OmegaConf.set_struct(made, True)
    return made


def without_secrets(cfg: DictConfig) -> dict[str, Any]:
    """All values of a config, resolved, with `***` in place of secrets, as loggers may have them."""
    made = cfg.copy()
    for key, text in leaves(OmegaConf.to_container(cfg)):
        if isinstance(text, str) and "oc.env" in text and _is_secret(text, OmegaConf.select(cfg, dotted(key))):
            OmegaConf.update(made, dotted(key), HIDDEN)
    resolved: Any = OmegaConf.to_container(made, resolve=True)
    return hide(resolved)


def dotted(key: tuple[str | int, ...]) -> str:
    """A key as OmegaConf reads it, whatever dots its parts hold."""
    return "".join(f"[{part}]" for part in key)


def _is_secret(text: str, value: Any) -> bool:
    names = re.findall(r"oc\.env:\s*([^,}\s]*)", text)
    if any("$" in name or SECRET.fullmatch(name.strip("'\"")) for name in names):
        return True
    return hide(value) != value


def hide(value: Any) -> Any:
    """The same values with `***` in place of secrets of the environment, and of passwords in URLs."""
    if isinstance(value, dict):
        return {key: hide(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hide(item) for item in value]
    if isinstance(value, str):
        for name, secret in os.environ.items():
            if len(secret) >= LONG and SECRET.fullmatch(name):
                value = value.replace(secret, HIDDEN)
        return WITH_PASSWORD.sub(f"://{HIDDEN}@", value)
    return value
