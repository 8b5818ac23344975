#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# The layering check finds what it is for: each case adds one line to a small sound tree and names the fault it must
# find.
set -eu
. "$(dirname "$0")/lib.sh"

sound() {
  rm -rf "$WORK/tree"
  mkdir -p "$WORK/tree/src/include/adit" "$WORK/tree/port/arch" "$WORK/tree/demos"
  for room in packet device stack relay service host runtime tunnel cli; do
    mkdir "$WORK/tree/src/$room"
    touch "$WORK/tree/src/$room/$room.h"
    printf '#include "%s/%s.h"\n#include <string.h>\n' "$room" "$room" >"$WORK/tree/src/$room/$room.c"
  done
  touch "$WORK/tree/src/include/adit/stack.h" "$WORK/tree/port/port.h" "$WORK/tree/port/arch/cc.h"
  printf '#include <adit/stack.h>\n#include "port.h"\n#include "lwip/tcp.h"\n' >>"$WORK/tree/src/stack/stack.c"
  printf '#include <adit/stack.h>\n' >"$WORK/tree/demos/hello.c"
}
check() { run env PATH=/usr/bin:/bin python3 "$TOP/tests/check_layers.py" "$WORK/tree"; }

sound
check
check_status "a sound tree" 0

# FILE | LINE | WHAT IT SAYS
while IFS='|' read -r file line says; do
  sound
  printf '%s\n' "$line" >>"$WORK/tree/$file"
  check
  check_status "$file: $line" 1
  check_says "$file: $line" "$says"
done <<'CASES'
src/device/device.c|#include "stack/stack.h"|device may include public, packet, not stack
src/stack/stack.c|#include "device/device.h"|not device
src/stack/stack.c|  #  include <time.h>|reads no clock
src/relay/relay.c|#include "lwip/tcp.h"|not lwip
src/relay/relay.c|#include <lwip/tcp.h>|not lwip
src/cli/cli.c|#include "stack/stack.h"|not stack
src/runtime/runtime.c|#include "cli/cli.h"|not cli
src/relay/relay.c|#include "tunnel/tunnel.h"|not tunnel
src/tunnel/tunnel.c|#include "host/host.h"|not host
src/host/host.c|#include "stack.h"|there is no such file
src/runtime/runtime.c|#include "adit/stack.h"|public headers are included as <adit/...>
src/include/adit/stack.h|#include "packet/packet.h"|public may include nothing of ours, not packet
demos/hello.c|#include "../src/stack/stack.h"|demos may include public, not stack
src/packet/packet.h|#include "packet/packet.h"|a cycle: src/packet/packet.h -> src/packet/packet.h
port/port.h|#include "stack/stack.h"|not stack
CASES

sound
printf '#include "packet/b.h"\n' >"$WORK/tree/src/packet/a.h"
printf '#include "a.h"\n' >"$WORK/tree/src/packet/b.h"
check
check_status "two headers that include each other" 1
check_says "two headers that include each other" "a cycle: src/packet/a.h -> src/packet/b.h -> src/packet/a.h"
sound
mkdir "$WORK/tree/src/attic"
touch "$WORK/tree/src/attic/attic.c"
check
check_status "a room that nobody knows" 1
check_says "a room that nobody knows" "the room 'attic' is not in the table"
finish
