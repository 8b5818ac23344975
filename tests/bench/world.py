# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# A world: the near namespace with the client and the one who is measured, and the far one with the servers.
#
#   near: client -> (mark 7) -> device of the contestant -> its sockets -> veth -> far: adit_load serve, adit_socks
#   near: client ----------------------------------------------------> veth -> far         (the baseline: no mark)
#
# The client's packets enter the device because they have a firewall mark, and nobody else's do; so a contestant needs no
# care for loops, and none has an advantage by how it avoids them. A contestant that makes a network for another namespace
# (pasta, slirp4netns) gets a third one, and the client runs there without a mark.
#
# Routes have cubic as their congestion control (ip-route(8), congctl), whatever the machine's default is: sockets that
# contestants make are not ours to set, and a namespace may only choose what the machine allows. There is no TIME-WAIT: a client that opens thousands of connections a second would run out of ports.
#
# All of it goes with the process namespace that run.sh made; stop() only makes room earlier.
import json
import os
import signal
import subprocess
import time

import contestants as c

MARK = 7
CONGESTION = "cubic"
READY_S = 15
SETTINGS = {
    "net/ipv4/tcp_max_tw_buckets": "0",
    "net/ipv4/ip_local_port_range": "1024 65535",
    "net/ipv4/ping_group_range": "0 2147483647",
    "net/ipv4/tcp_max_syn_backlog": "8192",
    "net/core/somaxconn": "8192",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_dad": "0",
}


class Failed(Exception):
    """Something could not be started or measured; the text says what."""


def ip(*arguments):
    done = subprocess.run(["ip", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise Failed("ip %s: %s" % (" ".join(map(str, arguments)), done.stderr.strip()))
    return done.stdout


def within(space, *command):
    return ["ip", "netns", "exec", space, *map(str, command)]


def prepare_mounts():
    os.makedirs("/run/netns", exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run/netns"], check=True)
    subprocess.run(["mount", "--make-private", "/run/netns"], check=True)


class World:
    """Context: made on entering, its processes ended on leaving."""

    number = 0

    def __init__(self, contestant, mtu, programs, work):
        World.number += 1
        self.contestant, self.programs = contestant, programs
        self.mtu = contestant.mtu or mtu  # of the device
        self.veth_mtu = mtu
        self.near, self.far, self.inner = ("%s%d" % (kind, World.number) for kind in ("near", "far", "inner"))
        self.work = os.path.join(work, self.near)
        os.mkdir(self.work)
        self.log_path = os.path.join(self.work, "log")
        self.log = open(self.log_path, "w")
        self.process = None
        self.helpers = []
        self.mute = set()  # address families in which nobody answers
        self.client_space, self.mark = self.near, 0

    # ---- making ----

    def make_space(self, name):
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
        script = "".join("echo '%s' >/proc/sys/%s || exit 1\n" % (value, key) for key, value in SETTINGS.items())
        done = subprocess.run(within(name, "sh", "-c", script), capture_output=True, text=True)
        if done.returncode:
            raise Failed("settings of a namespace: " + done.stderr.strip())

    def start(self, space, command):
        return subprocess.Popen(within(space, *command), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def make(self):
        for name in (self.near, self.far) + ((self.inner,) if self.contestant.inner else ()):
            self.make_space(name)
        ip("-n", self.near, "link", "add", "veth0", "mtu", self.veth_mtu, "type", "veth",
           "peer", "name", "veth0", "mtu", self.veth_mtu, "netns", self.far)
        for space, four, six in ((self.near, c.NEAR4, c.NEAR6), (self.far, c.FAR4, c.FAR6)):
            ip("-n", space, "addr", "add", four + "/16", "dev", "veth0", "noprefixroute")
            ip("-n", space, "addr", "add", six + "/64", "dev", "veth0", "nodad", "noprefixroute")
            ip("-n", space, "link", "set", "veth0", "up")
            for net in ("10.9.0.0/16", "fd09::/64"):
                ip("-n", space, "route", "add", net, "dev", "veth0", "congctl", CONGESTION)
        ip("-n", self.near, "route", "add", "default", "via", c.FAR4)
        ip("-n", self.near, "-6", "route", "add", "default", "via", c.FAR6)
        self.helpers.append(self.start(self.far, [self.programs["load"], "serve"]))
        self.helpers.append(self.start(self.far, [self.programs["socks"], c.SOCKS_PORT]))
        if self.contestant.command:
            self.start_contestant()
        self.await_answers()

    def start_contestant(self):
        values = dict(adit=self.programs["adit"], plain=self.programs["plain"], dev="tun0", mtu=self.mtu, v4=c.FAR4, v6=c.FAR6, near="veth0", work=self.work,
                      socks_host=c.FAR4, socks_port=c.SOCKS_PORT, netns="/run/netns/" + self.inner)
        command = self.contestant.command
        for name, value in values.items():
            command = command.replace("{%s}" % name, str(value))
        self.process = self.start(self.near, ["bash", "-c", command])
        if self.contestant.inner:
            self.client_space = self.inner
        elif self.contestant.outer:
            self.mark = MARK
            self.route_device("tun0")

    def route_device(self, device):
        """Wait for the device, set it up if the contestant has not, and lead marked packets into it."""
        end = time.monotonic() + READY_S
        while subprocess.run(within(self.near, "test", "-e", "/sys/class/net/" + device)).returncode:
            self.must_live()
            if time.monotonic() > end:
                raise Failed("%s made no device %s: %s" % (self.contestant.name, device, self.tail()))
            time.sleep(0.05)
        time.sleep(0.2)  # whoever configures it does that now; what is missing after that is ours to add
        ip("-n", self.near, "link", "set", device, "up")
        for family, own in (("-4", "198.18.0.1/15"), ("-6", "fc00:18::1/64")):
            if "inet" not in ip("-n", self.near, family, "addr", "show", "dev", device, "scope", "global"):
                ip("-n", self.near, "addr", "add", own, "dev", device)
            ip("-n", self.near, family, "rule", "add", "fwmark", MARK, "lookup", MARK, "priority", 100)
            ip("-n", self.near, family, "route", "add", "default", "dev", device, "table", MARK, "congctl", CONGESTION)
            for link in json.loads(ip("-n", self.near, "-j", family, "addr", "show", "dev", device, "scope", "global")):
                for one in link.get("addr_info", []):
                    if "local" in one:
                        self.lead_from(family, one["local"])

    def lead_from(self, family, address):
        """Packets with this source enter the device, also those for which no socket is left, and so no mark: resets."""
        ip("-n", self.near, family, "rule", "add", "from", address, "lookup", MARK, "priority", 101)

    def add_source(self, address):
        """One more address of the client."""
        ip("-n", self.near, "addr", "add", address + "/32", "dev", "tun0")
        self.lead_from("-4", address)

    def await_answers(self):
        for family in (4, 6):
            try:
                self.client("ready", self.target(family), READY_S if family == 4 else 5)
            except Failed as error:
                self.must_live()
                if family == 4 or self.contestant.ours:
                    raise Failed("%s does not answer: %s %s" % (self.contestant.name, error, self.tail())) from None
                self.mute.add(family)

    # ---- asking ----

    def target(self, family):
        return self.contestant.targets[0 if family == 4 else 1]

    def tail(self):
        self.log.flush()
        with open(self.log_path, errors="replace") as file:
            return " / ".join(file.read().strip().splitlines()[-4:])

    def must_live(self):
        if self.process and self.process.poll() is not None:
            raise Failed("%s ended with status %s: %s" % (self.contestant.name, self.process.returncode, self.tail()))

    def client_command(self, *arguments):
        return within(self.client_space, self.programs["load"], "-m", self.mark, *arguments)

    def client(self, *arguments, timeout=180):
        """Run the client; its answer, or Failed."""
        try:
            done = subprocess.run(self.client_command(*arguments), capture_output=True, text=True, timeout=timeout,
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise Failed("no end after %d s: %s" % (timeout, " ".join(map(str, arguments)))) from None
        if done.returncode:
            raise Failed(done.stderr.strip() or "status %d" % done.returncode)
        return json.loads(done.stdout)

    def start_client(self, *arguments):
        """One that goes on until its standard input is closed, or by itself."""
        return subprocess.Popen(self.client_command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def cpu_ticks(self):
        """User and system time of the contestant's process, its threads included (proc(5))."""
        if not self.process:
            return None
        self.must_live()
        with open("/proc/%d/stat" % self.process.pid) as file:
            fields = file.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def rss_bytes(self):
        self.must_live()
        with open("/proc/%d/status" % self.process.pid) as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))

    # ---- the end ----

    def __enter__(self):
        try:
            self.make()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for process in [self.process] * bool(self.process) + self.helpers:
            process.send_signal(signal.SIGTERM)
        for process in [self.process] * bool(self.process) + self.helpers:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.log.close()
        for name in (self.near, self.far, self.inner):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
