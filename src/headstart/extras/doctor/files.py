"""The files that a diagnosis is left in."""

import json
from pathlib import Path

from ...files import write_atomically
from .examine import Diagnosis
from .findings import write_findings
from .page import page

CSV, JSON, HTML = "doctor.csv", "doctor.json", "doctor.html"


def write(diagnosis: Diagnosis, folder: Path, title: str) -> list[Path]:
    """Write doctor.csv, doctor.json and doctor.html into a folder; returns their paths."""
    write_findings(folder / CSV, diagnosis.findings)
    write_atomically(folder / JSON, json.dumps(diagnosis.summary, indent=2) + "\n")
    write_atomically(folder / HTML, page(diagnosis, title))
    return [folder / name for name in (CSV, JSON, HTML)]
