#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# The core does no I/O, seen from its object files: none of lwIP, port/, src/packet and src/stack asks for a function of
# the system that opens, reads or writes a file, starts a thread, tells the time, sleeps, or makes randomness.
set -eu
. "$(dirname "$0")/lib.sh"

build=$TOP/build/dev
read -r -d "" barred <<'NAMES' || true
accept accept4 bind clock clock_gettime clock_nanosleep connect epoll_ctl epoll_wait exit fopen fork getenv
getrandom gettimeofday ioctl listen mmap nanosleep open open64 openat perror poll ppoll printf pselect
pthread_create puts random rand read readv recv recvfrom recvmsg randombytes_buf select send sendmsg sendto
sigaction signal sleep socket srand syslog system thrd_create time usleep vprintf write writev
NAMES
barred=$(printf '%s' "$barred" | tr '\n' ' ')

# wanted FOLDER...: the functions of that list that objects in there ask for, with the object's name.
wanted() {
  find "$@" -name '*.o' -print0 | xargs -0 -r nm -A -u | sed 's/^.*\/\([^/]*\):.* U \(.*\)$/\2 \1/' |
    while read -r name object; do
      case " $barred " in *" $name "*) printf '%s in %s\n' "$name" "$object" ;; esac
    done
}

[ -d "$build" ] || fail "$build is not there: build the preset dev first"
made=$build/src/CMakeFiles
core=("$build/third_party/lwip" "$build/port" "$made/adit_core.dir/stack" "$made/adit_core.dir/packet")
for folder in "${core[@]}"; do [ -d "$folder" ] || fail "expected object files in $folder, found no such folder"; done
objects=$(find "${core[@]}" -name '*.o' | wc -l)
[ "$objects" -gt 30 ] || fail "expected more than 30 objects of the core, found $objects"
check_equal "functions that the core must not ask for" "" "$(wanted "${core[@]}")"

# The same question finds them where they are.
run wanted "$made/adit_objects.dir/device"
check_says "the device layer, asked the same" "ioctl in "
finish
