"""Which version of a Hugging Face data set there is, without loading it: what was written for it once is used again."""

from pathlib import Path

from ...errors import UserError
from ...files import manifest

TIMEOUT = 20  # seconds


def version_of_folder(folder: Path) -> str:
    """Another one whenever a file changes, comes or goes."""
    return manifest(sorted(str(path) for path in folder.rglob("*") if path.is_file()))[:16]


def version_on_hub(name: str) -> str:
    """The newest commit, asked for once: `datasets` asks for half a minute where there is no network.

    Raises UserError when the Hub has no such data set for us, and ConnectionError when it can't be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        commit = HfApi().dataset_info(name, timeout=TIMEOUT).sha
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(
            f"the Hub has no data set {name!r} for us, and there is no folder of this name "
            f"(data.name; `hf auth login` for private ones)"
        ) from error
    except Exception as error:  # the HTTP client differs between versions of the Hub's package
        raise ConnectionError(error) from error
    return str(commit)
