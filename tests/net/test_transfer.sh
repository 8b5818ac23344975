#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# A large transfer in both directions at the same time: what goes into the echo service comes back whole, byte for byte.
set -eu
. "$(dirname "$0")/lib.sh"
need python3 sha256sum

BYTES=$((1 << 30))
[ "${ADIT_SANITIZED:-0}" = 0 ] || BYTES=$((1 << 25)) # the sanitizers make the stack slow

# through HOST BYTES: send pseudo-random bytes to port 7, read them back meanwhile, print both sums and the count.
cat >"$WORK/through.py" <<'PYTHON'
import hashlib, socket, sys, threading
host, total = sys.argv[1], int(sys.argv[2])
block = hashlib.shake_128(b"adit").digest(1 << 20) + b"!"  # an odd length: no two segments are alike
client = socket.create_connection((host, 7), timeout=30)
sent = hashlib.sha256()

def send():
    left = total
    while left > 0:
        piece = block[:left]
        client.sendall(piece)
        sent.update(piece)
        left -= len(piece)
    client.shutdown(socket.SHUT_WR)

sender = threading.Thread(target=send)
sender.start()
received, count = hashlib.sha256(), 0
while data := client.recv(1 << 20):
    received.update(data)
    count += len(data)
sender.join()
print(sent.hexdigest(), received.hexdigest(), count)
PYTHON

for way in offload no-offload; do
  [ $way = offload ] && options=() || options=(--no-offload)
  [ $way = offload ] || BYTES=$((BYTES / 8))
  start serve "$ADIT" serve "${options[@]}"
  wait_for 10 "serve is ready" file_has "$(out_of serve)" '^Ready'
  for host in 192.168.3.12 fdad:3::12; do
    check_command "$way: $BYTES bytes through $host" python3 "$WORK/through.py" $host $BYTES
    read -r sent received count <<<"$OUT"
    check_equal "$way: bytes back from $host" $BYTES "$count"
    check_equal "$way: SHA-256 of what came back from $host" "$sent" "$received"
  done
  stop serve
  check_status 0
  check_contains "$way: summary: nothing was dropped" 'dropped: 0' "$(cat "$WORK/serve.out" "$WORK/serve.err")"
done

finish
