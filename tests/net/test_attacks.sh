#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Attacks on a running adit serve, on the wire of a TUN device: tests/net/attacks/*.py play them from a packet socket; what
# each found is printed. docs/SECURITY.md says which promise each of them is about. With ADIT_TEST_LONG=1 they last longer.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/attacks/lib.sh"

victim serve
attack TUN tcp.py
attack TUN ip.py
over TUN

finish
