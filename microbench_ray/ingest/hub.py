"""Logs from the Hugging Face hub into a folder: what is there already is not fetched again."""

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
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import Options, wanted
from microbench_ray.ingest.lm_eval_files import RESULTS, SAMPLES, model_of

logger = logging.getLogger(__name__)

SCHEME = "hf://"
DETAILS = "-details"
"""How the name of a repository of one model's logs ends, in an organisation that holds one for each model."""
TOKEN = "HF_TOKEN"
"""The environment variable that holds the token; it comes from nowhere else."""
WORKERS = 4
"""Files that are fetched at a time."""
_ADDRESS = re.compile(r"hf://datasets/(?P<org>[\w.-]+)(?:/(?P<name>[\w.-]+)(?:@(?P<revision>[\w./-]+))?)?/?")
_NETWORK = ("httpx", "httpx2", "requests", "huggingface_hub")


class _File(NamedTuple):
    path: str
    size: int


def is_hub(path: str) -> bool:
    """Whether a path is an address on the hub."""
    return path.startswith(SCHEME)


def fetch(url: str, into: Path, options: Options) -> Path:
    """Copy the logs of one repository, or of an organisation's repositories of wanted models, into a folder.

    Only files of samples of wanted tasks are fetched, of each task the latest run, with its results. A file that is there as the
    hub has it is not fetched again: what was interrupted goes on by calling again, with the file that it was interrupted in.

    Parameters
    ----------
    url
        `hf://datasets/<org>/<name>`, where `@<revision>` may follow, or `hf://datasets/<org>`.
    into
        The folder, which is kept from call to call; below it lie `<org>/<name>` with the files as the repository has them.
    options
        The wanted tasks and models; models are asked for where the address is an organisation's.
    say
        Told a line for each repository.

    Returns
    -------
    Path
        The folder that a reader of logs finds them in.

    Raises
    ------
    DataError
        The address is none; nothing wanted is there; the package is missing; the hub does not answer, or refuses.
    """
    place = _ADDRESS.fullmatch(url)
    if place is None or ".." in url:
        raise DataError("This is no address of logs on the hub.", where=url, hint="hf://datasets/ORG/NAME, or hf://datasets/ORG")
    with _explained(url):
        api = _client()
        if place["name"]:
            names = [place["name"]]
        else:
            names = _details(api, place["org"], options, url)
        for name in names:
            _repository(api, f"{place['org']}/{name}", place["revision"], into / place["org"] / name, options)
    return into / place["org"] / place["name"] if place["name"] else into / place["org"]


def _client() -> Any:
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise DataError(
            "Fetching logs from the hub takes a package that is not installed.",
            got="no huggingface_hub",
            hint="pip install 'microbench-ray[hub]'",
        ) from None
    token = os.environ.get(TOKEN, "").strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise DataError("The token in the environment is none.", where=TOKEN, got="characters that none has", hint="set it again")
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=token or False)


def _details(api: Any, org: str, options: Options, url: str) -> list[str]:
    if not options.models:
        raise DataError(
            "An organisation holds too much to fetch all of it.",
            where=url,
            hint="name models, such as models=['Qwen/*']",
        )
    names = [each.id.partition("/")[2] for each in api.list_datasets(author=org)]
    models = {name: model_of(Path(name.removesuffix(DETAILS))) for name in names if name.endswith(DETAILS)}
    chosen = sorted(name for name, model in models.items() if wanted(model, options.models))
    if not chosen:
        raise DataError(
            "The organisation has no logs of a wanted model.",
            where=url,
            got=f"models {first_few(sorted(models.values()))}" if models else f"no repository whose name ends in {DETAILS}",
            hint="see models=",
        )
    return chosen


def _repository(api: Any, repo: str, revision: str | None, into: Path, options: Options) -> None:
    commit = api.repo_info(repo, repo_type="dataset", revision=revision).sha
    tree = api.list_repo_tree(repo, repo_type="dataset", revision=commit, recursive=True)
    files = _latest([_File(each.path, each.size) for each in tree if hasattr(each, "size")], options)
    if not files:
        raise DataError(
            "There are no samples of a wanted task.",
            where=f"{SCHEME}datasets/{repo}",
            hint="see tasks=, and the address",
        )
    missing = [file for file in files if not _whole(into, file)]
    logger.info("%s: %d files, %s MB to download", repo, len(files), f"{sum(file.size for file in missing) / 1e6:,.1f}")
    api.snapshot_download(
        repo,
        repo_type="dataset",
        revision=commit,
        local_dir=into,
        allow_patterns=[file.path.replace("[", "[[]") for file in files],
        max_workers=WORKERS,
    )
    missing = [file for file in files if not _whole(into, file)]
    if missing:
        raise DataError(
            "Not everything was fetched.",
            where=f"{SCHEME}datasets/{repo}",
            got=f"missing {first_few([file.path for file in missing])}",
            hint="the same command goes on where it ended",
        )


def _latest(files: list[_File], options: Options) -> list[_File]:
    """Of each folder and task the samples of the latest run, and the results of these runs (all, where none is of their times)."""
    latest: dict[tuple[str, str], tuple[str, _File]] = {}
    results: dict[str, dict[str, _File]] = {}
    for file in files:
        folder, _, name = file.path.rpartition("/")
        if file.path.startswith("/") or ".." in file.path.split("/"):
            continue
        if (found := SAMPLES.fullmatch(name)) and wanted(found["task"], options.tasks):
            run = (found["time"] or "", file)
            latest[folder, found["task"]] = max(latest.get((folder, found["task"]), run), run)
        elif found := RESULTS.fullmatch(name):
            results.setdefault(folder, {})[found["time"] or ""] = file
    chosen = [file for _, file in latest.values()]
    for folder in sorted({folder for folder, _ in latest}):
        times = {time for (place, _), (time, _) in latest.items() if place == folder}
        there = results.get(folder, {})
        chosen += [there[time] for time in sorted(times & there.keys() or there.keys())]
    return sorted(chosen)


def _whole(into: Path, file: _File) -> bool:
    path = into / file.path
    return path.is_file() and path.stat().st_size == file.size


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turns what the client raises into one DataError; the token is in none."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        if not isinstance(error, OSError | ValueError) and type(error).__module__.partition(".")[0] not in _NETWORK:
            raise
        what, hint = _meaning(error)
        token = os.environ.get(TOKEN, "").strip()
        text = (str(error).strip().splitlines() or [""])[0]
        got = f"{type(error).__name__}: {text.replace(token, '…') if token else text}"
        raise DataError(what, where=url, got=got[:300], hint=hint) from None


def _meaning(error: Exception) -> tuple[str, str]:
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        return "The repository is gated.", f"accept its terms on its page, and set {TOKEN} in the environment"
    if isinstance(error, errors.RevisionNotFoundError):
        return "The repository has no such revision.", "see what follows @ in the address"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            "There is no such repository, or it is private.",
            f"see the address; for a private one set {TOKEN}",
        )
    if status in (401, 403) and not os.environ.get(TOKEN, "").strip():
        return "The hub gives this only to one who shows a token.", f"set {TOKEN} in the environment"
    if status in (401, 403):
        return "The hub refuses this token.", f"set {TOKEN} in the environment again, or unset it: public logs need none"
    if status == 429:
        return "The hub was asked too often.", f"wait some minutes; with {TOKEN} in the environment more is allowed"
    if isinstance(error, errors.HFValidationError):
        return "This is no address of logs on the hub.", "hf://datasets/ORG/NAME"
    if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT, EACCES, EPERM, EROFS):
        return "What was fetched cannot be written.", "see that the folder can be written and the disk is not full"
    return "The hub cannot be reached, or broke off.", "see the network; the same command goes on where it ended"
