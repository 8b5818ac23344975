#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The same with the program that has the address and undefined behaviour sanitizers.
set -eu
. "$(dirname "$0")/lib.sh"
need_packages python3-scapy
build asan
export ADIT=$PWD/build/asan/adit ADIT_SANITIZED=1
scripts 2 tests/pcap
