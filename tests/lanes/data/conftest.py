"""Where the tests of data sets look for them: nowhere but in folders of their own."""

import socket

import pytest


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A temporary cache and home, and no network, for the tests of a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LANES_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("TFDS_DATA_DIR", raising=False)
        patch.setattr(socket.socket, "connect", _no_network)
        yield


def _no_network(*_, **__):
    raise AssertionError("a data set tried to reach the network")
