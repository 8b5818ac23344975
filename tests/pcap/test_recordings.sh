#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Every recording through adit replay, answers compared packet by packet.
exec python3 "$(dirname "$0")/recordings.py" "$@"
