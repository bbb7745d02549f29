"""The address that a server listens on, taken before anything is said of it."""

from __future__ import annotations

import ipaddress
import socket

from crosstune.errors import InputError


def listen(host: str, port: int, named: str) -> socket.socket:
    """A bound socket. `named`: the options that an `InputError` names when the address cannot be used."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, proto)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, OverflowError) as error:
        raise InputError(f"{named}: cannot be used ({error})") from None
    return listener


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's for itself alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
