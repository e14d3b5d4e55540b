"""Which process of pytest-xdist runs which tests."""

from __future__ import annotations

from xdist.scheduler import LoadGroupScheduling


class ByFile(LoadGroupScheduling):
    """Tests of one group run in one process, and so do tests of one file: what a file shares is made once, not in each process."""

    def _split_scope(self, nodeid: str) -> str:
        """The group that `pytest.mark.xdist_group` names, otherwise the file."""
        group = super()._split_scope(nodeid)
        return group if group != nodeid else nodeid.split("::", 1)[0]
