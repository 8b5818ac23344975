#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Packets of more than 64 KiB: a client on the host gets them and reads what was sent; one behind a router, or with
# --no-big-tcp, gets none; a firewall with connection tracking takes them for what they are; and where something on the way
# drops them a transfer goes on without.
set -eu
. "$(dirname "$0")/lib.sh"
need python3 tcpdump nft
release=$(uname -r)
[ "$(printf '%s\n' 6.6 "$release" | sort -V | head -n 1)" = 6.6 ] ||
  skip "Linux $release reads no packets of more than 64 KiB; 6.6 and later do"

BYTES=$((400 << 20))
[ "${ADIT_SANITIZED:-0}" = 0 ] || BYTES=$((20 << 20)) # the sanitizers make the stack slow

# read.py HOST BYTES: read so much from port 19 and print how much of it was as RFC 864 has it.
cat >"$WORK/read.py" <<'PYTHON'
import socket, sys
host, total = sys.argv[1], int(sys.argv[2])
text = bytes(range(32, 127)) * 2
period = b"".join(text[i:i + 72] + b"\r\n" for i in range(95))
expected = period * (1 + (1 << 20) // len(period) + 1)
client = socket.create_connection((host, 19), timeout=60)
count = 0
while count < total:
    data = client.recv(1 << 20)
    at = count % len(period)
    if not data or data != expected[at:at + len(data)]:
        break
    count += len(data)
print("right" if count >= total else f"wrong, or the end, after {count} bytes")
PYTHON

# longest FILE: bytes of the longest IP packet from port 19 in a capture of a TUN.
cat >"$WORK/longest.py" <<'PYTHON'
import struct, sys
data, at, longest = open(sys.argv[1], "rb").read(), 24, 0
while at + 16 <= len(data):
    stored, length = struct.unpack_from("<II", data, at + 8)
    ip, at = data[at + 16:at + 16 + stored], at + 16 + stored
    if ip[0] >> 4 == 4:
        transport = 20
    else:
        transport = 48 if ip[6] == 0 else 40
    if ip[transport:transport + 2] == b"\0\x13":
        longest = max(longest, length)
print(longest)
PYTHON

# transfer WHAT HOST [SPACE]: read from HOST, in a namespace if one is named. LONGEST is that of the packets.
transfer() {
  local reader=(python3 "$WORK/read.py" "$2" $BYTES)
  [ -z "${3:-}" ] || reader=(ip netns exec "$3" "${reader[@]}")
  start dump tcpdump --immediate-mode -i adit0 -s 128 -B 65536 -w "$WORK/dump"
  wait_for 10 "tcpdump listens" file_has "$(err_of dump)" 'listening on'
  run "${reader[@]}"
  check_equal "$1: bytes from $2" right "$OUT$ERR"
  stop dump
  LONGEST=$(python3 "$WORK/longest.py" "$WORK/dump")
}

begin() {
  start serve "$ADIT" serve --dev adit0 "$@"
  wait_for 10 "serve is ready" file_has "$(out_of serve)" '^Ready'
}

begin
check_contains "serve says what it offers" 'BIG TCP' "$(cat "$(out_of serve)")"
for host in 192.168.3.12 fdad:3::12; do
  transfer "a client on the host" $host
  check_at_least "longest packet for a client on the host, from $host" 100000 "$LONGEST"
done

netns behind
ip link add to_behind type veth peer name veth0 netns behind
ip address add 10.7.0.1/24 dev to_behind
ip address add fd07::1/64 dev to_behind nodad
ip link set to_behind up
in_ns behind ip address add 10.7.0.2/24 dev veth0
in_ns behind ip address add fd07::2/64 dev veth0 nodad
in_ns behind ip link set veth0 up
in_ns behind ip route add default via 10.7.0.1
in_ns behind ip -6 route add default via fd07::1
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
for host in 192.168.3.12 fdad:3::12; do
  transfer "a client behind a router" $host behind
  check_at_least "longest packet for a client behind a router, from $host" "$LONGEST" 65595
done

# A firewall that lets in only what belongs to a connection, and so has to read them.
nft -f - <<'NFT'
table inet firewall {
  chain input {
    type filter hook input priority 0
    ct state invalid counter drop
    iifname "adit0" ct state established accept
    iifname "adit0" icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    iifname "adit0" drop
  }
}
NFT
for host in 192.168.3.12 fdad:3::12; do
  transfer "a client behind a firewall" $host
  check_at_least "longest packet for a client behind a firewall, from $host" 100000 "$LONGEST"
done
check_contains "the firewall has found nothing invalid" 'invalid counter packets 0 ' "$(nft list table inet firewall)"
nft delete table inet firewall

# A rule that lets none of them through: what was sent in them is sent again, in others.
nft -f - <<'NFT'
table inet short {
  chain input {
    type filter hook input priority 0
    iifname "adit0" meta length > 65575 counter drop
  }
}
NFT
for host in 192.168.3.12 fdad:3::12; do
  transfer "a client behind a rule" $host
  check_at_least "longest packet that a rule dropped, from $host" 65576 "$LONGEST"
done
check_lacks "the rule has dropped something" 'packets 0 ' "$(nft list table inet short)"
nft delete table inet short

stop serve
check_status 0
begin --no-big-tcp
check_lacks "serve says what it does not offer" 'BIG TCP' "$(cat "$(out_of serve)")"
for host in 192.168.3.12 fdad:3::12; do
  transfer "--no-big-tcp" $host
  check_at_least "longest packet with --no-big-tcp, from $host" "$LONGEST" 65595
done
stop serve
check_status 0

finish
