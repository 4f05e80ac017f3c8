import socket

import pytest

from services.prediction.processes.ports import held
from services.rpc.errors import PortTakenError


def test_those_that_share_may_listen_on_what_is_held_and_others_may_not() -> None:
    with held("gRPC", "127.0.0.1", 0) as port:
        address = ("127.0.0.1", port)
        with socket.create_server(address, reuse_port=True), socket.create_server(address, reuse_port=True):
            pass
        with pytest.raises(PortTakenError, match=f"127.0.0.1:{port} for REST"), held("REST", "127.0.0.1", port):
            pass


@pytest.mark.parametrize("host", ["[::1]", "localhost"])
def test_addresses_are_written_as_in_the_settings(host: str) -> None:
    try:
        with held("gRPC", host, 0) as port:
            assert port > 0
    except PortTakenError:
        assert host == "[::1]"  # this machine has no IPv6


def test_a_connection_goes_to_who_listens_not_to_who_holds() -> None:
    with held("gRPC", "127.0.0.1", 0) as port:
        address = ("127.0.0.1", port)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        with socket.create_server(address, reuse_port=True) as listening:
            for _ in range(20):
                with socket.create_connection(address), listening.accept()[0]:
                    pass
