#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Formats every C file of the tree as .clang-format says; with --check says which ones are not, and changes nothing.
set -eu
cd "$(dirname "$0")/.."

if ! command -v clang-format >/dev/null; then
  echo "clang-format is not installed: apt-get install clang-format" >&2
  exit 1
fi
version=$(clang-format --version | grep -o 'version [0-9]*' | cut -d' ' -f2)
[ "$version" = 14 ] || echo "note: this is clang-format $version; the tree is kept with 14, which may differ" >&2

folders=()
for folder in src port tests demos; do [ ! -d "$folder" ] || folders+=("$folder"); done
mapfile -d '' files < <(find "${folders[@]}" -name '*.[ch]' -print0 | sort -z)
case ${1:-} in
  '') clang-format -i "${files[@]}" ;;
  --check)
    bad=0
    for file in "${files[@]}"; do
      clang-format "$file" | diff -u --label "$file" --label "$file (formatted)" "$file" - || bad=$((bad + 1))
    done
    if [ "$bad" != 0 ]; then
      echo "not formatted: $bad of ${#files[@]} files. Do: cmake --build --preset dev --target format"
      exit 1
    fi
    ;;
  *) echo "usage: $0 [--check]" >&2; exit 2 ;;
esac
echo "${#files[@]} files"
