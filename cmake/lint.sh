#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# clang-tidy and cppcheck over our own C files. Any finding is an error. Takes a build folder with
# compile_commands.json.
set -eu
cd "$(dirname "$0")/.."

build=${1:-build/dev}
if [ ! -f "$build/compile_commands.json" ]; then
  echo "$build holds no compile_commands.json: configure it first" >&2
  exit 1
fi
status=0
for tool in clang-tidy cppcheck; do
  command -v "$tool" >/dev/null || { echo "$tool is not installed: apt-get install $tool" >&2; status=1; }
done
mapfile -d '' files < <(find src port demos -name '*.c' -print0 | sort -z)

if command -v clang-tidy >/dev/null; then
  echo "clang-tidy: ${#files[@]} files"
  printf '%s\0' "${files[@]}" | xargs -0 -n 4 -P "$(nproc)" clang-tidy -p "$build" --quiet --warnings-as-errors='*' \
    2> >(grep -v 'warnings generated\|Suppressed\|Use -header-filter' >&2) || status=1
fi
if command -v cppcheck >/dev/null; then
  echo "cppcheck: ${#files[@]} files"
  # readdir: glibc's is safe as long as a stream has one thread; readdir_r is deprecated (readdir(3)).
  cppcheck --quiet --std=c11 --language=c -j "$(nproc)" --enable=warning,performance,portability --inline-suppr \
    --suppress=missingIncludeSystem --suppress=readdirCalled --suppress=comparePointers:port/port.c --error-exitcode=1 --library=posix \
    -D_GNU_SOURCE -DADIT_HAVE_PCAP -DADIT_HAVE_URING -D__linux__ \
    -Isrc/include -Isrc -Iport "${files[@]}" || status=1
fi
exit $status
