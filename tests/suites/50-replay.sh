#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Recordings of real clients through adit replay, and captures with every kind of fault.
set -eu
. "$(dirname "$0")/lib.sh"
need_packages python3-scapy # which brings python3
build dev
export ADIT=$PWD/build/dev/adit ADIT_SANITIZED=0
scripts 2 tests/pcap
