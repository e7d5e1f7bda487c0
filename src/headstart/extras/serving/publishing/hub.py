"""Up to Hugging Face's Hub."""

from pathlib import Path

from ....errors import UserError

SIGN_IN = "sign in by `hf auth login`, or set HF_TOKEN"


def check_repo(repo: str) -> None:
    """Raise UserError for what is no name of a model on the Hub."""
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UserError(f"--hub {repo}: {error}") from error
    if repo.count("/") != 1:
        raise UserError(f"--hub {repo}: name the user or organisation, too, as in --hub user/{repo}")


def upload(folder: Path, repo: str, public: bool) -> str:
    """Upload a folder as the model `repo`, and return its address; one that is there gets a commit more.

    A new one is private unless `public`, an earlier one stays what it is. The token is what huggingface_hub finds.
    Raises UserError where there is none, and for what the Hub refuses or a network doesn't bring there.
    """
    from huggingface_hub import HfApi, get_token

    if not get_token():
        raise UserError(f"{folder} is written, but not uploaded, as there is no token: {SIGN_IN}")
    api, name = HfApi(), "Publish a trained model"
    try:
        address = api.create_repo(repo, private=not public, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message=name, ignore_patterns=["__pycache__/*"])
    except Exception as error:
        if not _of_the_hub(error):
            raise
        said = str(error).strip().split("\n")[0] or type(error).__name__
        raise UserError(f"{folder} is written, but not uploaded to {repo} ({said})") from error
    return str(address)


def _of_the_hub(error: Exception) -> bool:
    """Whether it is the network's or the Hub's: huggingface_hub's own errors, and those of the client that it has."""
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in ("httpx", "httpx2", "httpcore")
