#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# What is installed can be used: a program is compiled with pkg-config alone and with find_package alone, against the shared
# library and the archive, and runs.
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
#include <adit/tunnel.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int output(void *user, const struct adit_packet *packet) {
  (void)user;
  (void)packet;
  return 0;
}

static int stopped;

static void on_stopped(void *user, int error) {
  (void)user;
  stopped += error == 0;
}

/* A tunnel on a socket pair, to a proxy that nobody asks. */
static int use_tunnel(void) {
  int pair[2];
  char reason[ADIT_TUNNEL_REASON];
  struct adit_tunnel *tunnel;
  struct adit_tunnel_stats stats = {.size = sizeof stats};
  struct adit_tunnel_options options = {
      .size = sizeof options, .upstream = "socks5://127.0.0.1", .own_fds = true, .stopped = on_stopped};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0) return 1;
  options.fds = &pair[1];
  if (adit_tunnel_start(&options, &tunnel, reason) != 0) {
    puts(reason);
    return 1;
  }
  int told = adit_tunnel_stats(tunnel, &stats);
  adit_tunnel_free(tunnel);
  options.upstream = "socks6://127.0.0.1";
  options.fds = &pair[0];
  int refused = adit_tunnel_start(&options, &tunnel, reason);
  return told != 0 || stopped != 1 || refused == 0 || !strstr(reason, "socks6") || tunnel != NULL;
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
  return use_tunnel();
}
PROGRAM
flags=(-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Werror "$WORK/use.c")
# shellcheck disable=SC2046 # words
run cc "${flags[@]}" -o "$WORK/shared" $(pkg-config --cflags --libs adit)
check_status "compile against the shared library" 0
run "$WORK/shared"
check_status "run with the shared library" 0
check_equal "it says" "fdad:3::/64" "$OUT"
rm "$library"/libadit.so*
# shellcheck disable=SC2046 # words
run cc "${flags[@]}" -o "$WORK/static" $(pkg-config --cflags --static --libs adit)
check_status "compile against the archive" 0
run "$WORK/static"
check_status "run with the archive" 0
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

# The same with CMake, after the tree was put elsewhere.
mv "$prefix" "$WORK/elsewhere"
unset LD_LIBRARY_PATH
mkdir "$WORK/user"
cp "$WORK/use.c" "$TOP/demos/embed_socks.c" "$TOP/demos/greeter.c" "$WORK/user"
cat >"$WORK/user/CMakeLists.txt" <<'USER'
cmake_minimum_required(VERSION 3.20)
project(user LANGUAGES C)
find_package(adit 0.1 REQUIRED CONFIG)
foreach(kind adit shared static)
  add_executable(use_${kind} use.c)
  target_link_libraries(use_${kind} PRIVATE adit::${kind})
endforeach()
foreach(demo embed_socks greeter)
  add_executable(${demo} ${demo}.c)
  target_link_libraries(${demo} PRIVATE adit::adit)
endforeach()
USER
run cmake -G Ninja -S "$WORK/user" -B "$WORK/user/build" -DCMAKE_PREFIX_PATH="$WORK/elsewhere"
check_status "find_package(adit)" 0
run cmake --build "$WORK/user/build"
check_status "build with the CMake package" 0
for kind in adit shared static; do
  run "$WORK/user/build/use_$kind"
  check_status "run with adit::$kind" 0
  check_equal "it says" "fdad:3::/64" "$OUT"
done
check_linked() { readelf -d "$WORK/user/build/use_$1" | grep -c 'NEEDED.*libadit[.]so[.]0]' || true; }
check_equal "adit::shared needs libadit.so.0" 1 "$(check_linked shared)"
check_equal "adit::static needs no libadit" 0 "$(check_linked static)"
run "$WORK/user/build/embed_socks" adit0 socks6://127.0.0.1
check_status "the demo, with a URL that is none" 1
check_says "the demo, with a URL that is none" "unknown scheme 'socks6://'"
sed -i 's/adit 0.1/adit 0.2/' "$WORK/user/CMakeLists.txt"
run cmake -G Ninja -S "$WORK/user" -B "$WORK/user/build2" -DCMAKE_PREFIX_PATH="$WORK/elsewhere"
check_status "a version that is not there" 'not 0'
finish
