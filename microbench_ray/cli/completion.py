"""`microbench --completion SHELL`: a script that completes jobs, keys and values, with fixed lists of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

from microbench_ray.cli.conf_files import choices, chosen
from microbench_ray.cli.help import job_keys
from microbench_ray.cli.keys import JOBS, PATH_KEYS, schema_of
from microbench_ray.core.errors import unknown
from microbench_ray.core.log import LEVELS
from microbench_ray.core.table_formats import FORMATS
from microbench_ray.methods.presets import method_names

SHELLS = ("bash", "zsh", "fish")
OPTIONS = ("--help", "--version", "--cfg", "--config-dir", "--completion", "-v", "-q")
COMMANDS = ("microbench", "microbench-ray")


def completion(shell: str) -> str:
    """The script of a shell; ConfigError for another shell."""
    if shell not in SHELLS:
        raise unknown("shell", "--completion", shell, SHELLS)
    words = {job: job_words(job) for job in JOBS}
    if shell == "fish":
        return _fish(words)
    start = "#compdef microbench microbench-ray\nautoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    return start + _bash(words)


def job_words(job: str) -> list[str]:
    """The words of a job: its keys with `=`, and those with a value of a fixed list, as `key=value` or `key=[value`."""
    content = job_keys(job)
    keys = [key.path for key in content.keys if key.default is not None]
    for group in content.groups:
        keys.append(group.name)
        for name in choices(group.name) if group.name != "experiment" else []:
            keys += [f"{group.name}.{key.path}" for key in chosen(group.name, name)[1] if key.default is not None]
    values = _values(job, [group.name for group in content.groups])
    words = [f"{key}=" for key in [*dict.fromkeys(keys), "log_level"]]
    return sorted([*words, *(f"{key}={value}" for key, listed in values.items() for value in listed)])


def _values(job: str, groups: Sequence[str]) -> dict[str, Sequence[str]]:
    """The values of keys with a fixed list. Those of lists begin with a bracket."""
    from microbench_ray.data.truth import KINDS
    from microbench_ray.ingest.fold import ON_CONFLICT
    from microbench_ray.ingest.registry import READERS
    from microbench_ray.metrics.run_difference import REFERENCES
    from microbench_ray.metrics.ties import TIE_POLICIES
    from microbench_ray.sweeps.reduce import INTERVALS

    schema = schema_of(job)
    keys = get_type_hints(schema)
    listed: dict[str, Sequence[str]] = {
        "format": FORMATS,
        "tie_policy": TIE_POLICIES,
        "ranks": REFERENCES,
        "ci": INTERVALS,
        "source": tuple(READERS),
        "on_conflict": ON_CONFLICT,
        "what": ("[baseline", "[pool"),
        "methods": [f"[{name}" for name in method_names()],
    }
    values = {key: listed[key] for key in listed if key in keys}
    values |= {group: choices(group) for group in groups}
    values |= {
        f"grid.{key}": each for key, each in (("subtasks", ("pooled", "separate")), ("unseen", ("half", "none"))) if "grid" in keys
    }
    if "benchmark" in groups:
        values["benchmark.truth"] = KINDS
    values |= dict.fromkeys(_booleans(schema), ("true", "false"))
    if job == "export":
        values["method"] = method_names()
    return values | {"log_level": LEVELS}


def _booleans(schema: Any, prefix: str = "") -> list[str]:
    found = []
    for name, kind in get_type_hints(schema).items():
        if bool in (kind, *get_args(kind)):
            found.append(prefix + name)
        elif is_dataclass(kind):
            found += _booleans(kind, f"{prefix}{name}.")
    return found


def _bash(words: Mapping[str, Sequence[str]]) -> str:
    """A function for bash.

    Bash splits words at `=`: the word is therefore taken from the line, and the key is removed from the answers.
    """
    cases = "\n".join(f'    {job}) words="{" ".join(each)}" ;;' for job, each in words.items())
    return f"""\
_microbench() {{
  local line="${{COMP_LINE:0:COMP_POINT}}" job="" word words each value rest
  word="${{line##*[[:space:]]}}"
  read -ra rest <<< "$line"
  for each in "${{rest[@]:1}}"; do
    case "$each" in
    {"|".join(words)}) job="$each"; break ;;
    esac
  done
  [ "$job" = "$word" ] && job=""
  case "$job" in
{cases}
    *) words="{" ".join(words)}" ;;
  esac
  words="$words {" ".join(OPTIONS)}"
  case "$line" in *--completion[\\ =]*) words="{" ".join(SHELLS)}" ;; esac
  value=""
  case "$word" in
    *=*,*)
      # Further entries of a list: what may follow the last comma.
      value="${{word%,*}},"
      words=$(for each in $words; do case "$each" in "${{word%%=*}}=["*) echo "$value${{each#*=[}}" ;; esac; done) ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  case "${{word%%=*}}" in
    {"|".join(PATH_KEYS)})
      case "$word" in *=*)
        COMPREPLY=()
        while IFS= read -r each; do COMPREPLY+=("${{word%%=*}}=$each"); done < <(compgen -f -- "${{word#*=}}") ;;
      esac ;;
  esac
  case "$COMP_WORDBREAKS" in
    *=*) case "$word" in *=*) COMPREPLY=("${{COMPREPLY[@]#"${{word%%=*}}="}}") ;; esac ;;
  esac
  case "${{COMPREPLY[0]}}" in *=) [ "${{#COMPREPLY[@]}}" = 1 ] && compopt -o nospace 2> /dev/null ;; esac
  return 0
}}
complete -F _microbench {" ".join(COMMANDS)}
"""


def _fish(words: Mapping[str, Sequence[str]]) -> str:
    lines = []
    for command in COMMANDS:
        start = f"complete -c {command}"
        lines.append(f"{start} -n 'not __fish_seen_subcommand_from {' '.join(words)}' -a '{' '.join(words)}'")
        lines += [f"{start} -n '__fish_seen_subcommand_from {job}' -a '{' '.join(each)}'" for job, each in words.items()]
        lines += [f"{start} -l {option[2:]}" if option.startswith("--") else f"{start} -s {option[1:]}" for option in OPTIONS]
    return "\n".join(lines) + "\n"
