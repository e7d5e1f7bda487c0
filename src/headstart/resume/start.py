"""How train.py begins: what Hydra should be told when something was typed; light, as `--help` waits for it, too."""

from pathlib import Path

from ..errors import UserError, printable
from .at_once import refuse_at_once
from .environment import load_env
from .implied import imply
from .quoting import RESUME, as_typed
from .requeue import again
from .trusted import note_typed

FLAGS = {"-cn": "--config-name", "-cd": "--config-dir", "-cp": "--config-path"}  # which take a value


def understand(arguments: list[str]) -> list[str]:
    """What Hydra should be told when these `arguments` were typed; raises UserError."""
    if (here := str(Path.cwd())) != printable(here):
        raise UserError(f"{here} is not UTF-8, as a config has to be: rename it, or come by a link of another name")
    load_env()
    arguments = join_flags(as_typed(arguments))
    note_typed(arguments)
    arguments = again(arguments)
    if any(argument.startswith(RESUME) for argument in arguments):
        from .going_on import expand_resume

        return expand_resume(arguments)
    refuse_at_once(arguments)
    return imply(arguments)


def join_flags(arguments: list[str]) -> list[str]:
    """Hydra's flags that choose configs with their value in one argument, paths being absolute."""
    rest, joined = iter(arguments), []
    for argument in rest:
        flag, is_joined, value = argument.partition("=")
        flag = FLAGS.get(flag, flag)
        if flag in FLAGS.values():
            value = value if is_joined else next(rest, "")
            argument = f"{flag}={value if flag == FLAGS['-cn'] else Path(value).absolute()}"
        joined.append(argument)
    return joined
