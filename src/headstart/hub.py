"""Hugging Face's Hub: what its cache holds, and whether it answers, before anything waits for it."""

from pathlib import Path


def cached(repository: str, file: str) -> Path | None:
    """The file in the Hub's cache, without asking the Hub, which is slow wherever a firewall hides it."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, file)
    return Path(found) if isinstance(found, str) else None


def check_reachable(repository: str, file: str) -> None:
    """Ask the Hub once: a download retries for up to minutes, and no setting of the Hub's shortens that.

    Raises:
        ConnectionError: there is no answer, or no such repository.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    try:
        get_hf_file_metadata(hf_hub_url(repository, file))
    except EntryNotFoundError:
        pass  # reachable, but the weights are in another format
    except Exception as error:  # the HTTP client differs between versions of the Hub's package
        raise ConnectionError(error) from error
