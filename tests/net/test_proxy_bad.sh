#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# adit proxy and proxies that are slow, odd or wrong: what the client sees of it and when, what the log says and how
# often; bounds, and upstreams that are none.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/far_proxies.sh"

# ---- servers that do not take everything at once ----
# The first connection takes no longer than the steps of RFC 1928, whatever the server does with all of them at once.
# times COUNT: milliseconds that connecting took, one a line.
cat >"$WORK/times.py" <<'PYTHON'
import socket, sys, time
for _ in range(int(sys.argv[2])):
    begin = time.monotonic()
    client = socket.create_connection((sys.argv[1], 80), timeout=10)
    print(round((time.monotonic() - begin) * 1000))
    client.close()
    time.sleep(float(sys.argv[3]))
PYTHON
proxy --upstream socks5://10.9.0.2:1094
i=0
while read -r took; do
  i=$((i + 1))
  [ "$took" -ge 200 ] && [ "$took" -lt 390 ] || fail "a server that loses requests: connection $i took $took ms, not 200"
  passed "a server that loses requests: connection $i"
done < <(python3 "$WORK/times.py" $FAR4 4 1)
check_equal 'a server that loses requests: four connections' 4 "$i"
stop_proxy 'a server that loses requests'
check_lacks 'a server that loses requests: no complaint' upstream "$ERR"
proxy --upstream socks5://10.9.0.2:1080
took=$(python3 "$WORK/times.py" $FAR4 1 0)
[ "${ADIT_SANITIZED:-0}" = 1 ] || [ "$took" -lt 100 ] || fail "microsocks: the first connection took $took ms"
passed 'microsocks: the first connection is not delayed'
stop_proxy 'microsocks, first connection'
proxy --upstream socks5://10.9.0.2:1082 # dante takes all at once; it makes a relay for datagrams for the trial
check_equal 'dante: three connections' 3 "$(python3 "$WORK/times.py" $FAR4 3 0.2 | wc -l)"
stop_proxy 'dante, three connections'
check_lacks 'dante: no complaint' upstream "$ERR"

# ---- proxies that fail: the client hears of it, and so does the log, now and then ----
# bad WAY URL REGEX OUTCOME: ten connections fail as OUTCOME says; the log names the upstream and why.
bad() {
  local i lines end
  proxy --upstream "$2" --connect-timeout 2
  end=$((SECONDS + 12))
  check_match "$1: the client" "^$4\$" "$(outcome $FAR4 80 20)"
  for i in 1 2 3 4 5 6 7 8 9; do
    start "client$i" python3 "$WORK/outcome.py" $FAR4 80 20
  done
  for i in 1 2 3 4 5 6 7 8 9; do
    await "client$i" 20
    check_match "$1: client $i" "^$4\$" "$OUT"
  done
  check_at_least "$1: within the time-out" "$SECONDS" "$end"
  stop_proxy "$1"
  lines=$(grep -c 'upstream ' <<<"$ERR" || true)
  check_match "$1: the log says which and why" "upstream $3" "$ERR"
  [ "$lines" -ge 1 ] && [ "$lines" -le 6 ] || fail "$1: $lines lines of log for ten failures"
  check_lacks "$1: no password in the log" 'p_ss' "$ERR"
}
bad hangs socks5://10.9.0.2:1090 'socks5://10.9.0.2:1090: accepts connections and says nothing' 'EHOSTUNREACH late'
bad 'hangs, http' http://10.9.0.2:1090 'http://10.9.0.2:1090: accepts connections and says nothing' 'EHOSTUNREACH late'
bad garbage socks5://10.9.0.2:1091 'socks5://10.9.0.2:1091: the answer is not SOCKS5' 'EHOSTUNREACH at once'
bad 'garbage, http' http://10.9.0.2:1091 'http://10.9.0.2:1091: the answer is not HTTP' 'EHOSTUNREACH at once'
bad 'closes half-way' socks5://10.9.0.2:1092 'socks5://10.9.0.2:1092: .*' 'EHOSTUNREACH at once'
bad 'closes half-way, http' http://10.9.0.2:1092 'http://10.9.0.2:1092: the answer is not HTTP' 'EHOSTUNREACH at once'
bad 'closes in the header' http://10.9.0.2:1097 'http://10.9.0.2:1097: the connection was closed before' \
  'EHOSTUNREACH at once'
bad 'says too much' socks5://10.9.0.2:1095 'socks5://10.9.0.2:1095: the answer is not SOCKS5' 'EHOSTUNREACH at once'
bad 'says too much, http' http://10.9.0.2:1096 'http://10.9.0.2:1096: the header of its answer is longer' \
  'EHOSTUNREACH at once'
bad 'a black hole' socks5://203.0.113.66:1080 'socks5://203.0.113.66:1080: cannot be reached: no answer' \
  'EHOSTUNREACH late'
# When the error comes while connect() is still under way, the kernel waits for that of the next SYN.
bad 'behind no route' http://203.0.113.67:8080 'http://203.0.113.67:8080: cannot be reached: No route to host' \
  'EHOSTUNREACH (at once|late)'
bad absent socks5://10.9.0.2:9 'socks5://10.9.0.2:9: cannot be reached: Connection refused' 'EHOSTUNREACH at once'
bad 'wants a password' socks5://10.9.0.2:1081 'socks5://10.9.0.2:1081: the proxy wants a user' 'EHOSTUNREACH at once'
bad 'another password' socks5://user:p_ss@10.9.0.2:1081 'socks5://10.9.0.2:1081: user and password' \
  'EHOSTUNREACH at once'
bad 'wants a password, http' http://10.9.0.2:8081 'http://10.9.0.2:8081: the proxy answered: 407' 'EHOSTUNREACH at once'

# flood.py HOST: 300 connections one after another; prints what became of them. The log says it now and then.
cat >"$WORK/flood.py" <<'PYTHON'
import collections, errno, socket, sys
ends = collections.Counter()
for _ in range(300):
    client = socket.socket()
    client.settimeout(5)
    try:
        client.connect((sys.argv[1], 80))
        client.recv(1) # where the error overtakes it, connect() may see none, and this does
        ends["connected"] += 1
    except TimeoutError:
        ends["timeout"] += 1
    except OSError as error:
        ends[errno.errorcode[error.errno]] += 1
    client.close()
print(" ".join(f"{end}={count}" for end, count in sorted(ends.items())))
PYTHON
for upstream in socks5://10.9.0.2:9 http://10.9.0.2:1091; do
  proxy --upstream $upstream
  check_equal "$upstream: 300 failures" EHOSTUNREACH=300 "$(python3 "$WORK/flood.py" $FAR4)"
  stop_proxy "$upstream: 300 failures"
  read -r begun failed < <(sed -n 's/.*connections: \([0-9]*\) begun, \([0-9]*\) not connected.*/\1 \2/p' <<<"$OUT")
  check_at_least "$upstream: all were counted" 300 "$begun" # more: SYNs that the client has repeated
  check_equal "$upstream: all were counted as failed" "$begun" "$failed"
  lines=$(wc -l <<<"$ERR")
  [ "$lines" -le 12 ] || fail "$upstream: $lines lines of log for 300 failures"
  passed "$upstream: $lines lines of log for 300 failures"
done

# ---- limits, and wrong usage ----
proxy --max-flows 2
start one nc -d $FAR4 7
start two nc -d $FAR4 7
two_connections() { [ "$(ss -Htn state established src 192.168.3.11 dst $FAR4 | wc -l)" = 2 ]; }
wait_for 5 'two connections' two_connections
check_equal 'one more than --max-flows' 'ECONNREFUSED at once' "$(outcome $FAR4 7 20)"
is_running one || fail 'an existing connection ended'
stop_proxy limits
check_contains 'the limit is said' '--max-flows' "$ERR"
for name in one two; do
  await $name
done

run "$ADIT" proxy --upstream 'socks5://user:secret@word@10.9.0.2'
check_status 2 'an @ in the password'
check_contains 'an @ in the password: what to do' '%40' "$ERR"
check_lacks 'an @ in the password: it is not repeated' secret "$ERR"
run "$ADIT" proxy --upstream ftp://10.9.0.2
check_status 2 'an unknown scheme'
check_contains 'an unknown scheme: the known ones' 'socks5://' "$ERR"
check_contains 'an unknown scheme: which' ftp "$ERR"
for url in socks5:// socks5://:1080 socks5://10.9.0.2:port socks5://10.9.0.2:70000 'http://[fd09::2' 10.9.0.2:1080; do
  run "$ADIT" proxy --upstream "$url"
  check_status 2 "a bad URL: $url"
  check_contains "a bad URL is named: $url" --upstream "$ERR"
done

finish
