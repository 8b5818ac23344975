#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# thc-ipv6 against a running adit serve on a TAP device, where it writes Ethernet frames: its test of an implementation, its
# attacks on fragments, options, neighbour and router discovery. As test_attack_tools.sh.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/attacks/lib.sh"

has atk6-implementation6 || tools_done
victim serve --tap
ip link set adit0 txqueuelen 500
ping -n -c 1 -W 3 $V6 >"$WORK/neighbour6" || fail "no neighbour: $(cat "$WORK/neighbour6")"
beside 'implementation6' 1 "http://[$V6]/" for_seconds 60 atk6-implementation6 adit0 $V6
check_contains 'implementation6 gets to its end' 'PASSED' "$(tr -d '\0' <"$WORK/attacker.out")"
LOST_MOST=50 # some of them flood as fast as they can
# Without fuzz_ip6: it asks whether its victim lives with a unicast packet in a multicast frame, which adit does not answer
# (RFC 1122, 3.3.6), and ends. tests/fuzz does more than it would.
for command in "atk6-fragmentation6 -p adit0 $V6" "atk6-denial6 adit0 $V6 1" "atk6-denial6 adit0 $V6 2" \
  "atk6-thcsyn6 -R adit0 $V6 80" "atk6-smurf6 adit0 $V6" "atk6-toobig6 adit0 fdad:3::11 $V6 1280" \
  "atk6-flood_router26 adit0" "atk6-flood_advertise6 adit0" "atk6-flood_solicitate6 adit0 $V6" \
  "atk6-ndpexhaust26 -r adit0 fdad:3::" "atk6-redir6 adit0 fdad:3::11 $V6 fdad:3::1 fdad:3::99"; do
  read -ra words <<<"$command"
  wait_for 60 "before ${words[0]}: the flood before it is over" ping -n -q -c 3 -i 0.2 -W 1 "$V6" # some tools ask first
  beside "${words[0]}${words[3]:+ ${words[*]:3}}" 10 "http://$V4/" for_seconds $FLOOD_SECONDS "${words[@]}"
done
over 'TAP'

tools_done
