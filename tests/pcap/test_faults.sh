#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Broken, foreign, odd and hostile captures through adit replay.
exec python3 "$(dirname "$0")/faults.py"
