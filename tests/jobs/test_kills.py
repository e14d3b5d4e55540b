"""Every command that writes files, killed at its renames and at random moments: run again, it leaves what an undisturbed run does.

`pytest -m nightly tests/jobs/test_kills.py` kills 200 times and more and prints the counts.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.helpers.counts import Counted
from tests.helpers.kill_scenarios import PAGES, SCENARIOS
from tests.helpers.kills import Campaign, Kill, Scenario

SEED = int(os.environ.get("MICROBENCH_KILL_SEED", "0"))
DEFAULT_KILLS = {"ingest": 2, "export": 1, "score": 1}
"""Kills at renames by `pytest` alone: of the commands that take least time."""
CI_KILLS = 3
"""Kills of each command in .ci/run beside those, one of them at a random moment."""
MOMENTS = 6
"""Kills of each command at random moments in the nightly set, beside those at every rename."""
CHAIN = 3
"""How often a command is killed at random moments before it may finish."""
PAGE_KILLS = 5


@pytest.mark.parametrize("name", DEFAULT_KILLS)
def test_a_command_killed_at_renames(name: str, tmp_path: Path, counted: Counted) -> None:
    run_campaign(SCENARIOS[name], tmp_path, counted, n_calls=DEFAULT_KILLS[name], n_moments=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_command_killed_a_few_times(name: str, tmp_path: Path, counted: Counted) -> None:
    run_campaign(SCENARIOS[name], tmp_path, counted, n_calls=CI_KILLS - 1, n_moments=1)


@pytest.mark.nightly
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_command_killed_at_every_rename_and_at_random_moments(name: str, tmp_path: Path, counted: Counted) -> None:
    run_campaign(SCENARIOS[name], tmp_path, counted, n_calls=None, n_moments=MOMENTS)


@pytest.mark.nightly
@pytest.mark.parametrize("name", PAGES)
def test_a_command_that_writes_a_page_and_figures(name: str, tmp_path: Path, counted: Counted) -> None:
    run_campaign(PAGES[name], tmp_path, counted, n_calls=PAGE_KILLS, n_moments=1)


def run_campaign(scenario: Scenario, folder: Path, counted: Counted, *, n_calls: int | None, n_moments: int) -> None:
    """Kill a command at some of its renames (None for all), and in chains at random moments; count what was done."""
    campaign, rng = Campaign(scenario, folder), random.Random(f"{SEED} {scenario.name}")
    calls = list(campaign.every_call())
    for kill in calls if n_calls is None else rng.sample(calls, min(n_calls, len(calls))):
        assert campaign.try_kills([kill]) == 1, kill
    n_hit = 0
    for _ in range(10 * n_moments):  # a command may finish before its moment
        if n_hit < n_moments:
            n_hit += campaign.try_kills(moments(campaign, rng, min(CHAIN, n_moments - n_hit)))
    assert n_hit == n_moments
    counted(kills=campaign.kills, commands=campaign.commands, differences=campaign.differences)


def moments(campaign: Campaign, rng: random.Random, number: int) -> list[Kill]:
    return [campaign.moment(rng) for _ in range(number)]
