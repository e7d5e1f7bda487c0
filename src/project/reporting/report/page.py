"""From sections to a file that needs nothing else."""

import importlib.resources
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined, Template

from headstart.files import write_atomically

from ..run_folder import RunFolder
from .blocks import Page, Section, number
from .sections import SECTIONS, highlights, status, subtitle

FILE = "report.html"


def write_report(run: RunFolder, name: str = FILE) -> Path:
    """Write a run's `report.html` from what lies in its folder; returns its path."""
    page = Page(run.name, made(SECTIONS, run), status(run), subtitle(run), highlights(run))
    return write_page(page, run.path / name)


def made(sections: Sequence[Callable[..., Section | None]], of: Any) -> list[Section]:
    """The sections that have something to say."""
    found = (section(of) for section in sections)
    return [section for section in found if section and section.blocks]


def write_page(page: Page, path: Path) -> Path:
    """Write a page as HTML."""
    write_atomically(path, _template().render(page=page))
    return path


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = number
    environment.tests["numeric"] = lambda value: isinstance(value, int | float | np.number)
    text = importlib.resources.files(__package__ or "").joinpath("page.html").read_text(encoding="utf-8")
    return environment.from_string(text)
