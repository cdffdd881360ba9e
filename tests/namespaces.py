"""Two hosts on one machine: network namespaces that a cable joins."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


def skip_without_namespaces() -> pytest.MarkDecorator:
    """Return a mark that skips tests where no namespace can be made, with the reason."""
    missing = "root" if os.geteuid() else "" if shutil.which("ip") else "ip of iproute2"
    return pytest.mark.skipif(bool(missing), reason=f"network namespaces need {missing}")


class Host:
    """One of the two.

    Attributes:
        address: In the network of the two.
        interface: Of this host in it.
    """

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.interface = f"{name}-e"

    def command(self, *words: str) -> list[str]:
        """Return a command as it runs on this host."""
        return ["ip", "netns", "exec", self.name, *words]

    def ip(self, *words: str) -> None:
        """Run ip on this host."""
        subprocess.run(self.command("ip", *words), check=True)


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Make two hosts, and take them away again."""
    name = f"wl{os.getpid() % 100000}"
    hosts = (Host(f"{name}a", "10.77.31.1"), Host(f"{name}b", "10.77.31.2"))
    try:
        for host in hosts:
            subprocess.run(["ip", "netns", "add", host.name], check=True)
        one, other = hosts
        one.ip(
            *["link", "add", one.interface, "type", "veth"],
            *["peer", "name", other.interface, "netns", other.name],
        )
        for host in hosts:
            host.ip("address", "add", f"{host.address}/24", "dev", host.interface)
            host.ip("link", "set", host.interface, "up")
            host.ip("link", "set", "lo", "up")
        yield hosts
    finally:
        for host in hosts:
            subprocess.run(["ip", "netns", "delete", host.name], check=False)
