#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Upstreams that refuse, hang, reset, dribble and lie: every client is told within the time for connecting, fds and memory
# return to where they were, the log stays short, and an upstream that behaves works all the while.
#
# With ADIT_TEST_LONG=1 there are 10,000 connections to each bad upstream, otherwise 1,000; in each round.
set -eu
. "$(dirname "$0")/lib.sh"
need python3 ss

COUNT=1000
[ "${ADIT_TEST_LONG:-0}" = 0 ] || COUNT=10000
SEED=${ADIT_TEST_SEED:-7}

# A proxy of that kind. What it does to a connection follows from the seed and the number of the connection.
cat >"$WORK/upstream.py" <<'PYTHON'
import asyncio, random, resource, socket, struct, sys

kind, port, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
GOOD = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"
count = 0

def reset(writer):
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

async def hang(reader, writer, rng):
    while await reader.read(65536):
        pass

async def dribble(writer, data):
    for i in range(len(data)):
        writer.write(data[i:i + 1])
        await writer.drain()
        await asyncio.sleep(0.002)

async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()

# ---- what goes wrong whatever the protocol ----
async def close(reader, writer, rng): pass
async def reset_at_once(reader, writer, rng): reset(writer)
async def reset_later(reader, writer, rng):
    await reader.read(rng.randrange(1, 20))
    reset(writer)
async def garbage(reader, writer, rng): writer.write(rng.randbytes(rng.randrange(1, 3000)))
async def flood(reader, writer, rng):
    for _ in range(100):
        writer.write(rng.randbytes(10000))
        await writer.drain()

# ---- SOCKS5 ----
async def greet(reader, writer):
    head = await reader.readexactly(2)
    await reader.readexactly(head[1])
    writer.write(b"\x05\x00")
async def ask(reader):
    head = await reader.readexactly(4)
    length = {1: 4, 4: 16}.get(head[3]) or (await reader.readexactly(1))[0]
    await reader.readexactly(length + 2)
def answering(reply):
    async def act(reader, writer, rng):
        await greet(reader, writer)
        await ask(reader)
        await reply(reader, writer, rng)
    return act
async def greet_and_hang(reader, writer, rng):
    await greet(reader, writer)
    await hang(reader, writer, rng)
async def no_method(reader, writer, rng): writer.write(b"\x05\xff"); await hang(reader, writer, rng)
async def other_method(reader, writer, rng): writer.write(b"\x05\x02"); await hang(reader, writer, rng)
async def refuse(reader, writer, rng): writer.write(bytes([5, rng.randrange(1, 256)]) + GOOD[2:])
async def half(reader, writer, rng): writer.write(GOOD[:rng.randrange(1, len(GOOD))])
async def version(reader, writer, rng): writer.write(b"\x04" + GOOD[1:]); await hang(reader, writer, rng)
async def type_(reader, writer, rng): writer.write(b"\x05\x00\x00\x07" + GOOD[4:]); await hang(reader, writer, rng)
async def name(reader, writer, rng): writer.write(b"\x05\x00\x00\x03\xff" + b"x" * rng.randrange(257))
async def good_dribbled(reader, writer, rng): await dribble(writer, GOOD); await echo(reader, writer)
async def good_and_reset(reader, writer, rng): writer.write(GOOD); await writer.drain(); reset(writer)
async def good_and_more(reader, writer, rng): writer.write(GOOD + b"early"); await echo(reader, writer)
async def good_and_flood(reader, writer, rng): writer.write(GOOD); await flood(reader, writer, rng)
async def good(reader, writer, rng): writer.write(GOOD); await echo(reader, writer)

# ---- HTTP ----
async def head(reader): await reader.readuntil(b"\r\n\r\n")
def status(*lines, then=None):
    async def act(reader, writer, rng):
        await head(reader)
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        if then: await then(reader, writer, rng)
    return act
async def http_echo(reader, writer, rng): await echo(reader, writer)
async def http_reset(reader, writer, rng): await writer.drain(); reset(writer)
async def http_dribbled(reader, writer, rng):
    await head(reader)
    await dribble(writer, b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n")
    await echo(reader, writer)
async def http_half(reader, writer, rng):
    await head(reader)
    answer = b"HTTP/1.1 200 OK\r\n\r\n"
    writer.write(answer[:rng.randrange(1, len(answer))])
async def http_endless(reader, writer, rng):
    await head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for i in range(3000):
        writer.write(b"X-%d: %s\r\n" % (i, b"y" * 90))
        await writer.drain()

both = [close, reset_at_once, reset_later, hang, garbage, flood]
ways = {
    "socks5": both + [greet_and_hang, no_method, other_method] + [answering(reply) for reply in (
        refuse, refuse, half, version, type_, name, good_dribbled, good_and_reset, good_and_more, good_and_flood, good)],
    "http": both + [http_dribbled, http_half, http_endless,
        status("HTTP/1.1 200 OK", then=http_echo), status("HTTP/1.1 200 OK", then=http_reset),
        status("HTTP/1.0 200", "Content-Length: 99999999999999999999", then=http_echo),
        status("HTTP/1.1 403 No"), status("HTTP/1.1 502 Bad", then=hang), status("HTTP/1.1 504 Late"),
        status("HTTP/1.1 407 Who", "Proxy-Authenticate: Basic"), status("HTTP/1.1 100 Go on", then=hang),
        status("HTTP/9.9 banana"), status("HTTP/1.1 99999 Much"), status("SSH-2.0-server"), status("")],
    "good": [answering(good)],
}[kind]

async def serve(reader, writer):
    global count
    count += 1
    rng = random.Random(seed * 1000003 + count)
    try:
        await rng.choice(ways)(reader, writer, rng)
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()

async def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=512)
    async with server:
        await server.serve_forever()

asyncio.run(main())
PYTHON

# COUNT connections, 100 at a time, to an address behind the device. Says how they went.
cat >"$WORK/clients.py" <<'PYTHON'
import asyncio, collections, random, sys, time

host, count, seed, patience = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
ways = collections.Counter()
longest = 0

async def one(number, room):
    global longest
    rng = random.Random(seed * 7919 + number)
    async with room:
        begin = time.monotonic()
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(host, 80), patience)
        except (asyncio.TimeoutError, TimeoutError):
            ways["untold"] += 1
            return
        except OSError as error:
            ways["refused"] += 1
            longest = max(longest, time.monotonic() - begin)
            return
        longest = max(longest, time.monotonic() - begin)
        got, enough = b"", rng.choice((5, 100, 100000))
        try:
            writer.write(b"hello")
            if rng.random() < 0.5: writer.write_eof()
            while len(got) < enough:
                data = await asyncio.wait_for(reader.read(65536), 0.3)
                if not data: break
                got += data
            ways["echoed" if b"hello" in got else "ended"] += 1
        except (asyncio.TimeoutError, TimeoutError):
            ways["echoed" if b"hello" in got else "silent"] += 1
        except OSError:
            ways["reset"] += 1
        finally:
            if rng.random() < 0.3: writer.transport.abort() # at once, with a reset where something was not read
            writer.close()

async def main():
    room = asyncio.Semaphore(100)
    await asyncio.gather(*(one(number, room) for number in range(count)))
    print(" ".join(f"{way}={ways[way]}" for way in ("refused", "untold", "echoed", "ended", "reset", "silent")),
          f"longest={longest * 1000:.0f}")

asyncio.run(main())
PYTHON

value() { sed -n "s/.*\b$2=\([0-9]*\).*/\1/p" <<<"$1"; }
fds() { find "/proc/${PID[$1]}/fd" -mindepth 1 | wc -l; }
fds_are() { [ "$(fds "$1")" = "$2" ] || { echo "there are $(fds "$1")"; return 1; }; }
memory() { awk '/^VmRSS/ { print $2 }' "/proc/${PID[$1]}/status"; }

start good python3 "$WORK/upstream.py" good 1090 "$SEED"
start proxy0 "$ADIT" proxy --dev adit0 --upstream socks5://127.0.0.1:1090 --address 10.9.0.1/24
wait_for 10 'the good one is ready' file_has "$(out_of proxy0)" '^Ready'
ip route add 203.0.113.0/24 dev adit0
wait_for 10 'the good upstream' port_answers 127.0.0.1 1090

port=1091
for kind in socks5 http; do
  start "$kind" python3 "$WORK/upstream.py" $kind $port "$SEED"
  wait_for 10 "the bad $kind upstream" port_answers 127.0.0.1 $port
  # The half-closed and silent ones have to end by themselves, too.
  start proxy "$ADIT" proxy --dev adit1 --upstream $kind://127.0.0.1:$port --address 10.9.1.1/24 --connect-timeout 1 \
    --idle-timeout 5 --half-closed-timeout 1
  wait_for 10 "$kind: adit is ready" file_has "$(out_of proxy)" '^Ready'
  ip route add 198.51.100.0/24 dev adit1
  fds=$(fds proxy)
  # Memory that was had at the worst moment is kept, and the worst moment comes sooner or later: there are rounds until it
  # stays as it is. A connection that leaves something shows in every round.
  memory=0 rounds=0
  while :; do
    rounds=$((rounds + 1)) before=$memory
    RUN_SECONDS=300 run python3 "$WORK/clients.py" 198.51.100.9 $COUNT $rounds 5
    check_status 0 "$kind: the clients"
    said=$OUT
    check_equal "$kind: every client is told within the time for connecting" 0 "$(value "$said" untold)"
    [ "$(value "$said" longest)" -lt 3000 ] || fail "$kind: a client waited for too long: $said"
    check_at_least "$kind: some are refused" $((COUNT / 5)) "$(value "$said" refused)"
    check_at_least "$kind: some get their echo" $((COUNT / 50)) "$(value "$said" echoed)"
    wait_for 20 "$kind: as many fds as before" fds_are proxy "$fds"
    memory=$(memory proxy)
    [ -z "${VERBOSE:-}" ] || echo "$kind: round $rounds: $said; memory: $memory KiB"
    [ "${ADIT_SANITIZED:-0}" = 0 ] || break # it keeps what is freed for a while
    [ $((memory - before)) -gt $((COUNT * 64 / 1024 + 32)) ] || break
    [ $rounds -lt 6 ] || fail "$kind: memory grows on: $before KiB, after $COUNT more connections $memory KiB"
  done
  check_command "$kind: a good upstream works meanwhile" python3 "$WORK/clients.py" 203.0.113.9 50 3 5
  check_equal "$kind: a good upstream answers all" 50 "$(value "$OUT" echoed)"
  passed "$kind: fds and memory are as they were after $rounds rounds"
  [ "$(wc -l <"$(err_of proxy)")" -le $((100 * rounds)) ] || fail "$kind: the log has $(wc -l <"$(err_of proxy)") lines"
  check_match "$kind: the log says which upstream and why" "127.0.0.1:$port" "$(cat "$(err_of proxy)")"
  stop proxy
  check_status 0 "$kind: it ends in order"
  check_lacks "$kind: nothing was found by a sanitizer" Sanitizer "$ERR"
  begun=$(sed -n 's/.*connections: \([0-9]*\) begun.*/\1/p' <<<"$OUT")
  check_at_least "$kind: connections are counted" $((COUNT * rounds)) "$begun"
  stop "$kind"
  port=$((port + 1))
done

# Nobody there at all.
start proxy "$ADIT" proxy --dev adit1 --upstream socks5://127.0.0.1:9 --address 10.9.1.1/24 --connect-timeout 1
wait_for 10 'nobody there: adit is ready' file_has "$(out_of proxy)" '^Ready'
ip route add 198.51.100.0/24 dev adit1
run python3 "$WORK/clients.py" 198.51.100.9 200 4 5
check_equal 'nobody there: all are refused' 200 "$(value "$OUT" refused)"
stop proxy
stop proxy0
check_status 0
stop good

finish
