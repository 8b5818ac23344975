#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Peers that vanish without a word, against an adit serve with --idle-timeout.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/attacks/lib.sh"

victim serve --idle-timeout 3
attack 'idle connections' idle.py
over 'idle connections'

finish
