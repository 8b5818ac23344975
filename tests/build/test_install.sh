#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# What is installed can be used: a program is compiled with pkg-config alone, against the shared library and the
# archive.
set -eu
. "$(dirname "$0")/lib.sh"

prefix=$WORK/prefix
run cmake -G Ninja -S "$TOP" -B "$WORK/build" -DBUILD_TESTING=OFF -DCMAKE_INSTALL_PREFIX="$prefix"
check_status "configure" 0
run cmake --build "$WORK/build"
check_status "build" 0
run cmake --install "$WORK/build"
check_status "install" 0
library=$(dirname "$(find "$prefix" -name libadit.a)")
export PKG_CONFIG_PATH=$library/pkgconfig LD_LIBRARY_PATH=$library

cat >"$WORK/use.c" <<'PROGRAM'
#include <adit/address.h>
#include <adit/device.h>
#include <adit/packet.h>
#include <adit/stack.h>
#include <stdio.h>

static void output(void *user, const struct adit_packet *packet) {
  (void)user;
  (void)packet;
}

int main(void) {
  static const struct adit_stack_events events = {.output = output};
  struct adit_stack_options options = {.size = sizeof options, .events = &events, .now_ns = 1};
  struct adit_stack *stack;
  struct adit_device *ends[2];
  int made = adit_stack_new(&options, &stack), paired = adit_device_pair(ADIT_LINK_IP, 4, ends);
  adit_cidr network;
  char text[ADIT_ADDRESS_TEXT];
  if (made != 0 || paired != 0 || adit_cidr_parse("fdad:3::/64", &network) != 0) return 1;
  puts(adit_cidr_format(network, text));
  adit_device_close(ends[0]);
  adit_device_close(ends[1]);
  adit_stack_free(stack);
  return 0;
}
PROGRAM
flags=(-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Werror "$WORK/use.c")
# shellcheck disable=SC2046 # words
run cc "${flags[@]}" -o "$WORK/shared" $(pkg-config --cflags --libs adit)
check_status "compile against the shared library" 0
run "$WORK/shared"
check_equal "it says" "fdad:3::/64" "$OUT"
rm "$library"/libadit.so*
# shellcheck disable=SC2046 # words
run cc "${flags[@]}" -o "$WORK/static" $(pkg-config --cflags --static --libs adit)
check_status "compile against the archive" 0
run "$WORK/static"
check_equal "it says" "fdad:3::/64" "$OUT"

# The header of each room compiles alone, in C and in C++ where there is a compiler for it.
for header in "$prefix"/include/adit/*.h; do
  run cc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$prefix/include" -x c "$header"
  check_status "$(basename "$header") alone, in C" 0
  if command -v c++ >/dev/null; then
    run c++ -std=c++11 -Wall -Wextra -fsyntax-only -I"$prefix/include" -x c++ "$header"
    check_status "$(basename "$header") alone, in C++" 0
  fi
done

# Only what the public headers name is visible.
run cmake --install "$WORK/build"
run nm -D --defined-only --format=posix "$library/libadit.so"
strangers=$(printf '%s\n' "$OUT" | cut -d' ' -f1 | grep -v '^adit_' || true)
check_equal "names that the shared library shows beside its own" "" "$strangers"
hidden=$(printf '%s\n' "$OUT" | cut -d' ' -f1 | while read -r name; do
  grep -qw "$name" "$prefix"/include/adit/*.h || printf '%s ' "$name"
done)
check_equal "names that it shows and no public header has" "" "$hidden"
[ -x "$prefix/bin/adit" ] || fail "bin/adit is not installed"
finish
