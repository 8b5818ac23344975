#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# The attacks of test_attacks.sh, on a TAP device and without offloads.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/attacks/lib.sh"

victim serve --tap
mac=$(mac_of_victim)
attack TAP tcp.py "$mac"
attack TAP ip.py "$mac"
over TAP

victim serve --no-offload
attack 'no offload' tcp.py - challenges_are_limited edges_of_a_reset tiny_segments_out_of_order tiny_segments_unread
attack 'no offload' ip.py - extension_headers overlapping_fragments flood_of_fragments
over 'no offload'

finish
