"""The node that crash tests kill keeps what it acknowledged, and leaves nothing behind."""

from __future__ import annotations

from tests.support.opensearch_node import OpenSearchNode


def test_a_killed_node_comes_back_with_its_data_at_its_address(node: OpenSearchNode) -> None:
    """After SIGKILL the same address answers again, and holds what was acknowledged before."""
    with OpenSearchNode(heap="512m") as crashing:
        assert crashing.port != node.port
        address, process = crashing.endpoint, crashing.pid
        crashing.request("PUT", "/books/_doc/1", {"title": "kept"})
        crashing.kill()
        assert not crashing.running
        crashing.start()
        assert (crashing.endpoint, crashing.pid != process) == (address, True)
        assert crashing.request("GET", "/books/_doc/1")["_source"] == {"title": "kept"}
        folder = crashing.folder
        assert folder.is_dir()
    assert not folder.exists()
