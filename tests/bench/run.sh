#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# How fast adit is, beside the kernel and beside others: checks what is needed, then bench.py in namespaces of its own.
#
# Everything (devices, addresses, servers) is made in network, mount and process namespaces that go with this script,
# however it ends; nothing outside of them is changed. run.sh --help says what can be asked for, docs/PERFORMANCE.md what
# is compared with what.
# Exit status: 0 measured, 1 something could not be measured or is far worse than recorded, 2 wrong usage.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1

stop() {
  printf 'run.sh: %s\n' "$*" >&2
  exit 1
}
command -v python3 >/dev/null || stop 'python3 is not installed'
python3 "$HERE/bench.py" --check "$@" # wrong usage, --help and --list end here
case " $* " in *" --help "* | *" -h "* | *" --list "*) exit 0 ;; esac
[ "$(id -u)" = 0 ] || stop 'needs root, for network namespaces: sudo tests/bench/run.sh'
[ -c /dev/net/tun ] || stop 'there is no /dev/net/tun: modprobe tun'
for program in unshare ip; do command -v "$program" >/dev/null || stop "the program '$program' is not installed"; done
exec unshare --net --mount --pid --fork --kill-child --mount-proc -- python3 "$HERE/bench.py" "$@"
