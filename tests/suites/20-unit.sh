#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Unit tests.
set -eu
. "$(dirname "$0")/lib.sh"
build dev
unit dev '^unit[.]'
