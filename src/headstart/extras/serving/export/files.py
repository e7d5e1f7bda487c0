"""A model's files, one format after the other: written, loaded by their own runtime, compared, and only then kept."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....errors import UserError
from .formats import FORMATS, INT8, QUANTISED
from .loaded import Loaded, Usage
from .measuring import MOST_DIFFERENT, Measured, Reference
from .network import can_resize
from .quantised import quantise
from .writers import Source, write

MEGABYTE = 1e6
PLAIN = ("pt", "state_dict", "safetensors")


class Exported(NamedTuple):
    """A format's files, if they were kept, and what was measured; else an `error` says why not."""

    name: str
    files: tuple[Path, ...] = ()
    megabytes: float = 0
    usage: Usage | None = None
    measured: Measured | None = None
    error: str = ""


def export(
    names: Sequence[str],
    source: Source,
    reference: Reference,
    folder: Path,
    calibration: NDArray[np.uint8] | None,
    tell: Callable[[int], None],
) -> Iterator[Exported]:
    """Write the model in the formats `names`, into `folder`; yields what became of each.

    A file stays only if its probabilities differ from the model's by less than 1e-3, unless it is one in int8, which
    is calibrated on the images `calibration`. `tell` hears how many images were compared each time.
    """
    with TemporaryDirectory(prefix=".export-", dir=folder) as name:
        scratch = Path(name)
        for name in names:
            try:
                usage = _make(name, source, scratch, calibration)
                files = _files(name, scratch)
                with Loaded(usage, scratch) as loaded:
                    measured = reference.measure(loaded, _takes(name, source), tell)
            except UserError as error:
                yield Exported(name, error=str(error))
                continue
            megabytes = sum(file.stat().st_size for file in files) / MEGABYTE
            if name in FORMATS and not measured.difference < MOST_DIFFERENT:
                error = f"not kept: probabilities differ by {measured.difference:.1e}, more than {MOST_DIFFERENT:g}"
                yield Exported(name, (), megabytes, usage, measured, error)
                continue
            # Copies, as what is made of them comes next.
            kept = tuple(_keep(file, folder) for file in files)
            yield Exported(name, kept, megabytes, usage, measured)


def _make(name: str, source: Source, scratch: Path, calibration: NDArray[np.uint8] | None) -> Usage:
    if name in FORMATS:
        return write(name, source, scratch)
    single = FORMATS[name.removesuffix(INT8)].file
    if not (scratch / single).exists():
        raise UserError(f"{name} is made of {single}, which there isn't")
    assert calibration is not None
    return quantise(name, source, scratch, calibration)


def _files(name: str, scratch: Path) -> list[Path]:
    """A format's file in `scratch`, and what lies beside it; the file that names others last."""
    file = scratch / (FORMATS | QUANTISED)[name].file
    beside = [file.with_suffix(".bin"), file.with_name(f"{file.name}.json"), file.with_name(f"{file.name}.data")]
    return [*(path for path in beside if path.exists()), file]


def _keep(file: Path, folder: Path) -> Path:
    """Give a file its place; a second name of it stays, of which int8 is made."""
    second = file.with_name(f"{file.name}.kept")
    second.hardlink_to(file)
    return second.replace(folder / file.name)


def _takes(name: str, source: Source) -> str:
    """What a format's file takes: normalised floats, raw images of any size, or such as are cropped."""
    if name in PLAIN:
        return "floats"
    return "raw" if name == "torch_export" and can_resize(source.model.preprocessing) else "cropped"
