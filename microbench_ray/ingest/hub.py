"""Download of logs from the Hugging Face Hub; files already downloaded are skipped."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EDQUOT, ENOSPC, EPERM, EROFS
from pathlib import Path
from typing import Any, NamedTuple

from microbench_ray.core.errors import DataError
from microbench_ray.core.extras import require_extra
from microbench_ray.data.names import first_few, show_name
from microbench_ray.ingest.base import Options, matches, selects
from microbench_ray.ingest.lm_eval_files import RESULTS_NAME, SAMPLES_NAME, model_from_folder

logger = logging.getLogger(__name__)

SCHEME = "hf://"
DETAILS = "-details"
"""Suffix of a repository with one model's logs, in an organisation with one repository per model."""
TOKEN = "HF_TOKEN"
"""The environment variable that holds the token; the only source of it."""
WORKERS = 4
"""Concurrent downloads."""
BAD_ADDRESS = "The path is not a Hub address."
RESUME = "rerun the command to resume the download"
_ADDRESS = re.compile(r"hf://datasets/(?P<org>[\w.-]+)(?:/(?P<name>[\w.-]+)(?:@(?P<revision>[\w./-]+))?)?/?")
_CLIENT_PACKAGES = ("httpx", "httpx2", "requests", "huggingface_hub")


class _File(NamedTuple):
    path: str
    size: int


def is_hub(path: str) -> bool:
    """Whether a path is a Hub address."""
    return path.startswith(SCHEME)


def fetch(url: str, into: Path, options: Options) -> Path:
    """Download the logs of one repository, or of an organisation's repositories of selected models, into a folder.

    Only the sample files of selected tasks are downloaded, the latest run of each task, with its results. Complete files are
    skipped, so an interrupted download resumes at the file at which it was interrupted.

    Parameters
    ----------
    url
        `hf://datasets/<org>/<name>`, optionally followed by `@<revision>`, or `hf://datasets/<org>`.
    into
        The download folder; the files of a repository are stored in `<org>/<name>` below it.
    options
        The selected tasks and models; patterns of models are required for an organisation.

    Returns
    -------
    Path
        The folder to pass to a reader.

    Raises
    ------
    DataError
        The address is invalid, nothing matches, huggingface_hub is not installed, or the Hub is unreachable or refuses access.
    """
    address = _ADDRESS.fullmatch(url)
    if address is None or ".." in url:
        raise DataError(BAD_ADDRESS, where=url, hint="use hf://datasets/ORG/NAME or hf://datasets/ORG")
    org, repository = address["org"], address["name"]
    with _translate_errors(url):
        api = _client()
        names = [repository] if repository else _select_repositories(api, org, options, url)
        for name in names:
            _download_repository(api, f"{org}/{name}", address["revision"], into / org / name, options)
    return into / org / repository if repository else into / org


def _client() -> Any:
    require_extra("hub", "Downloading from the Hub", where="path", kind=DataError)
    from huggingface_hub import HfApi

    token = os.environ.get(TOKEN, "").strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        hint = f"set {TOKEN} again, or unset it"
        raise DataError(f"{TOKEN} is not a valid token.", where=TOKEN, got="spaces or unprintable characters", hint=hint)
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=token or False)


def _select_repositories(api: Any, org: str, options: Options, url: str) -> list[str]:
    """Names of the repositories of an organisation that hold logs of selected models."""
    if not options.models:
        raise DataError(
            "An organisation is too large to download whole.",
            where=url,
            hint="select models, such as models=['Qwen/*']",
        )
    names = [each.id.partition("/")[2] for each in api.list_datasets(author=org)]
    models = {name: model_from_folder(Path(name.removesuffix(DETAILS))) for name in names if name.endswith(DETAILS)}
    selected = sorted(name for name, model in models.items() if selects(options.models, model))
    if not selected:
        raise DataError(
            "The organisation has no logs of a selected model.",
            where=url,
            got=f"models {first_few(sorted(models.values()))}" if models else f"no repository whose name ends in {DETAILS}",
            hint="change models=",
        )
    return selected


def _download_repository(api: Any, repo: str, revision: str | None, into: Path, options: Options) -> None:
    commit = api.repo_info(repo, repo_type="dataset", revision=revision).sha
    tree = api.list_repo_tree(repo, repo_type="dataset", revision=commit, recursive=True)
    files = _latest_runs([_File(path=entry.path, size=entry.size) for entry in tree if hasattr(entry, "size")], options)
    if not files:
        raise DataError(
            "The repository has no samples of a selected task.",
            where=f"{SCHEME}datasets/{repo}",
            hint="change tasks=, or check the address",
        )
    missing = [file for file in files if not _is_complete(into, file)]
    logger.info("%s: %d files, %s MB to download", repo, len(files), f"{sum(file.size for file in missing) / 1e6:,.1f}")
    api.snapshot_download(
        repo,
        repo_type="dataset",
        revision=commit,
        local_dir=into,
        allow_patterns=[file.path.replace("[", "[[]") for file in files],
        max_workers=WORKERS,
    )
    missing = [file for file in files if not _is_complete(into, file)]
    if missing:
        raise DataError(
            "The download is incomplete.",
            where=f"{SCHEME}datasets/{repo}",
            got=f"missing {first_few([file.path for file in missing])}",
            hint=RESUME,
        )


def _latest_runs(files: list[_File], options: Options) -> list[_File]:
    """Select the samples of the latest run of each folder and task, and the results of these runs; all results of a folder if none
    has the time of a run."""
    latest: dict[tuple[str, str], tuple[str, _File]] = {}
    results: dict[str, dict[str, _File]] = {}
    for file in files:
        folder, _, name = file.path.rpartition("/")
        if file.path.startswith("/") or ".." in file.path.split("/"):
            logger.warning("%s was skipped: the path leaves the repository", show_name(file.path))
            continue
        if (match := SAMPLES_NAME.fullmatch(name)) and matches(match["task"], options.tasks):
            run = (match["time"] or "", file)
            latest[folder, match["task"]] = max(latest.get((folder, match["task"]), run), run)
        elif match := RESULTS_NAME.fullmatch(name):
            results.setdefault(folder, {})[match["time"] or ""] = file
    selected = [file for _, file in latest.values()]
    for folder in sorted({folder for folder, _ in latest}):
        times = {time for (run_folder, _), (time, _) in latest.items() if run_folder == folder}
        by_time = results.get(folder, {})
        selected += [by_time[time] for time in sorted(times & by_time.keys() or by_time.keys())]
    return sorted(selected)


def _is_complete(into: Path, file: _File) -> bool:
    path = into / file.path
    return path.is_file() and path.stat().st_size == file.size


@contextmanager
def _translate_errors(url: str) -> Iterator[None]:
    """Convert errors of the Hub client to a DataError that does not contain the token."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        if not isinstance(error, OSError | ValueError) and type(error).__module__.partition(".")[0] not in _CLIENT_PACKAGES:
            raise
        what, hint = _explain(error)
        token = os.environ.get(TOKEN, "").strip()
        text = (str(error).strip().splitlines() or [""])[0]
        got = f"{type(error).__name__}: {text.replace(token, '…') if token else text}"
        raise DataError(what, where=url, got=got[:300], hint=hint) from None


def _explain(error: Exception) -> tuple[str, str]:
    """What went wrong, and the hint."""
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        return "The repository is gated.", f"accept its terms on its page and set {TOKEN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return "The repository has no such revision.", "check the part of the address after @"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "The repository does not exist or is private.", f"check the address; for a private repository set {TOKEN}"
    if status in (401, 403) and not os.environ.get(TOKEN, "").strip():
        return "The Hub requires a token for this repository.", f"set {TOKEN}"
    if status in (401, 403):
        return "The Hub rejected the token.", f"set {TOKEN} again, or unset it: public logs need no token"
    if status == 429:
        return "The Hub's rate limit was reached.", f"wait a few minutes; setting {TOKEN} raises the limit"
    if isinstance(error, errors.HFValidationError):
        return BAD_ADDRESS, "use hf://datasets/ORG/NAME"
    if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT, EACCES, EPERM, EROFS):
        return "The download cannot be written.", "check the folder's permissions and the free disk space"
    return "The Hub is unreachable or the connection was lost.", f"check the network; {RESUME}"
