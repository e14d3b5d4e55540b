"""The settings that a folder of responses was ingested with, in `ingest.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.core.storage.folders import Folder, io_error
from microbench_ray.core.storage.store import Store
from microbench_ray.data.responses import MODELS
from microbench_ray.ingest.base import Options

SETTINGS_FILE = "ingest.json"


def settings_of(source: str, options: Options) -> dict[str, Any]:
    """The settings that all logs of a folder must share for their scores to be comparable."""
    settings: dict[str, Any] = {"source": source, "metric": options.metric, "filter": options.filter}
    further: dict[str, Any] = {
        "table": options.table.settings(),
        "identify": list(options.identify),
        "scale": options.scale.settings(),
        "items": blake2b("\n".join(options.items).encode(errors="replace"), digest_size=8).hexdigest() if options.items else "",
        "reduce": "" if options.reduce == "mean" else options.reduce,
        "join": "" if options.join == "content" else options.join,
    }
    return settings | {name: value for name, value in further.items() if value}


def check_settings(store: Store, current: Mapping[str, Any]) -> None:
    """Check that the folder holds no models, or was written with these settings.

    Raises
    ------
    ConfigError
        The settings differ.
    """
    previous = read_settings(store.folder)
    if previous is not None and previous != current and store.folder.files(MODELS):
        before, now = _keys(previous), _keys(current)
        differing = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        raise ConfigError(
            "The folder holds responses ingested with other settings.",
            where=store.at(),
            got=f"{_key_values(before, differing)} before, {_key_values(now, differing)} now",
            hint="use a new folder with out=DIR, or the same settings as before",
        )


def _keys(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings by the keys of the command line, of which a table has several."""
    of_table = settings.get("table")
    keys = {key: value for key, value in settings.items() if key != "table"}
    return keys | (of_table if isinstance(of_table, dict) else {})


def _key_values(settings: Mapping[str, Any], keys: Sequence[str]) -> str:
    return ", ".join(f"{key} not given" if settings.get(key) is None else f"{key}={settings[key]}" for key in keys)


def read_settings(folder: Folder) -> Mapping[str, Any] | None:
    """Read the settings that a folder was written with; None for a new folder.

    Raises
    ------
    DataError
        The file is damaged.
    """
    try:
        content: Mapping[str, Any] = json.loads(folder.read(SETTINGS_FILE))
        if not isinstance(content, dict):
            raise TypeError("not an object")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise io_error(folder, SETTINGS_FILE, error, "A folder of responses cannot be read.", "give another folder") from None
    except (ValueError, TypeError) as error:
        hint = "remove the file; it is written again"
        raise DataError("The settings file is damaged.", where=folder.at(SETTINGS_FILE), got=str(error), hint=hint) from None
    return content
