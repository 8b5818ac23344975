#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# The attacks of test_attacks.sh on a running adit proxy: the services that they play with are those of an adit serve on a
# host beyond, so what they do to a connection has to stop at the relay, or to arrive there as what it was.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/attacks/lib.sh"

netns far
ip link add up0 type veth peer name down0 netns far
ip addr add 10.77.0.1/24 dev up0
ip addr add fd77::1/64 dev up0 nodad
ip link set up0 up
in_ns far sh -c 'ip addr add 10.77.0.2/24 dev down0; ip addr add fd77::2/64 dev down0 nodad; ip link set down0 up
                 sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1'
start_in far services "$ADIT" serve --dev far0
wait_for 10 'the services are ready' file_has "$(out_of services)" '^Ready'
ip route add $V4/32 via 10.77.0.2 dev up0 table 77
ip -6 route add $V6/128 via fd77::2 dev up0 table 77
ip rule add fwmark 7 lookup 77
ip -6 rule add fwmark 7 lookup 77
victim proxy --upstream direct:// --mark 7 --icmp reply
wait_for 10 'the far end answers over IPv4' curl -sf -o /dev/null --max-time 2 "http://$V4/"
wait_for 10 'the far end answers over IPv6' curl -gsf -o /dev/null --max-time 2 "http://[$V6]/"
attack proxy tcp.py - refusals_are_resets acknowledgment_beyond_what_was_sent edges_of_a_reset \
  hole_is_acknowledged_when_filled window_shrunk_to_zero least_segment_size path_mtu tiny_segments_out_of_order \
  tiny_segments_unread time_wait
attack proxy ip.py - echo_to_everybody extension_headers datagram_without_checksum refused_datagrams_are_limited \
  errors_about_errors overlapping_fragments flood_of_fragments
over proxy

finish
