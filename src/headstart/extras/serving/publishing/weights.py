"""The network's files: model.safetensors, and load.py, which knows by which architecture to read it."""

import logging
import textwrap
import warnings
from pathlib import Path

import torch
from torch import nn

from ....backbone import Preprocessing
from ....errors import UserError
from ..export.network import program_of
from ..plain import Plain

WEIGHTS, PROGRAM, LOADER = "model.safetensors", "model.pt2", "load.py"
STUB = "def architecture()"
MADE = '''{stub} -> nn.Module:
    """The network that the weights in {weights} belong to, untrained."""
{code}

    return model
'''
log = logging.getLogger(__name__)


def write_weights(folder: Path, plain: Plain, preprocessing: Preprocessing) -> None:
    """Write model.safetensors; of a network that no library makes, model.pt2 as well, which PyTorch alone runs.

    Raises UserError for one that torch.export can't make a program of.
    """
    from safetensors.torch import save

    if not plain.library:
        _write_program(folder / PROGRAM, plain.network, preprocessing.crop)
    tensors = {name: value.detach().clone().contiguous() for name, value in plain.network.state_dict().items()}
    (folder / WEIGHTS).unlink(missing_ok=True)  # timm's, whom nobody but its owner may read
    (folder / WEIGHTS).write_bytes(save(tensors, metadata={"format": "pt"}))


def _write_program(path: Path, network: nn.Module, crop: int) -> None:
    """The network's operations and weights, for batches of any size."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of torch's own inner workings
            torch.export.save(program_of(network, torch.zeros(2, 3, crop, crop), (0,)), path)
    except Exception as error:  # whatever a network does that can't be written down
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"this network can't be published: it is neither timm's nor torchvision's, and torch.export can't make a "
            f"program of it ({type(error).__name__}: {reason})"
        ) from error


def write_loader(folder: Path, plain: Plain) -> None:
    """Write load.py, which needs nothing of ours."""
    source = Path(__file__).with_name(LOADER).read_text(encoding="utf-8")
    if plain.library:
        code = textwrap.indent(plain.code.replace("\nfrom torch import nn\n", "\n"), "    ")
        source = source.partition(STUB)[0] + MADE.format(stub=STUB, weights=WEIGHTS, code=code)
    (folder / LOADER).write_text(source, encoding="utf-8")
