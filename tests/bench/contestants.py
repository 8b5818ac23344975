# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Who is measured: adit in its ways, the kernel alone, and any other program (--peer).
#
# A contestant runs in the near namespace, where the client is, too. Its command has placeholders:
#   {dev}                       name of the TUN device to be made; the harness sets it up and gives it addresses if it has none
#   {mtu}                       what its MTU is to be
#   {v4} {v6}                   where the client connects to: addresses of the far namespace
#   {socks_host} {socks_port}   a SOCKS5 server there
#   {near}                      the near namespace's own interface, with a default route
#   {netns}                     path of a third namespace; whoever names it brings the network there in place of {dev}, and
#                               the client runs in it
#   {work}                      a folder for its own files
# What is started must be the process that is measured: one simple command, or one that ends with exec.
from dataclasses import dataclass, field

FAR4, FAR6 = "10.9.0.2", "fd09::2"
NEAR4, NEAR6 = "10.9.0.1", "fd09::1"
STACK4, STACK6 = "192.168.3.12", "fdad:3::12"
SOCKS_PORT = 1080


@dataclass(frozen=True)
class Contestant:
    name: str
    what: str
    command: str = ""  # none: the client goes straight to the far end
    targets: tuple = (FAR4, FAR6)
    mtu: int = 0  # its own, whatever the case's is; 0 = the case's
    ours: bool = True  # a failure of one of ours fails the run

    @property
    def inner(self):
        return "{netns}" in self.command

    @property
    def outer(self):
        """Makes a device in the near namespace."""
        return "{dev}" in self.command


ADIT = "{adit} %s --dev {dev} --mtu {mtu}"
OURS = [
    Contestant("veth", "kernel sockets over the veth pair: the baseline"),
    Contestant("serve", "adit serve, in the stack", ADIT % "serve", (STACK4, STACK6)),
    Contestant("direct", "adit proxy, direct", ADIT % "proxy" + " --upstream direct://"),
    Contestant("socks", "adit proxy, through the SOCKS5 server", ADIT % "proxy" + " --upstream socks5://{socks_host}:{socks_port}"),
    Contestant("serve2", "adit serve with 2 queues", ADIT % "serve" + " --queues 2", (STACK4, STACK6)),
    Contestant("plain", "a relay between kernel sockets, without a device", "exec {plain} {v4} {v6}", ("127.0.0.1", "::1")),
    Contestant("splice", "the same, but that it copies nothing", "exec {plain} --splice {v4} {v6}", ("127.0.0.1", "::1")),
    Contestant("direct2", "adit proxy, direct, with 2 queues", ADIT % "proxy" + " --upstream direct:// --queues 2"),
]

# Programs that are known here by name, so that --peer NAME is enough.
KNOWN = {
    "pasta": "pasta --foreground --quiet --runas 0 --netns {netns} --config-net --interface {near} --mtu {mtu} "
    "--no-map-gw -t none -u none -T none -U none",
    "slirp4netns": "slirp4netns --configure --enable-ipv6 --mtu {mtu} --netns-type=path {netns} tap0",
}


def peer(text):
    """From NAME, NAME@MTU, NAME=COMMAND or NAME@MTU=COMMAND; ValueError says what is wrong."""
    name, equals, command = text.partition("=")
    base, at, mtu = name.partition("@")
    if not base.isidentifier():
        raise ValueError("--peer '%s': a name is letters, digits and _" % text)
    if at and not (mtu.isdigit() and 576 <= int(mtu) <= 65535):
        raise ValueError("--peer '%s': an MTU is from 576 to 65535" % text)
    if not equals:
        command = KNOWN.get(base)
    if not command:
        raise ValueError("--peer '%s': not NAME[@MTU]=COMMAND; without a command only %s are known" % (text, ", ".join(KNOWN)))
    return Contestant(name, "another program", command, mtu=int(mtu or 0), ours=False)
