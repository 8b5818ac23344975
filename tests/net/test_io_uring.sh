#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# --io-uring: many packets are read and written with few system calls, and nothing else is different: same answers, inside the sandbox
# and with several queues; nothing stays behind; where io_uring is forbidden everything works without.
set -eu
. "$(dirname "$0")/lib.sh"
need python3

# forbidden.py COMMAND...: run it where the kernel says EPERM to io_uring_setup, as many containers have it.
cat >"$WORK/forbidden.py" <<'PYTHON'
import ctypes, os, struct, sys
SETUP, EPERM, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, FILTER = 425, 1, 22, 38, 2
code = b"".join(struct.pack("HBBI", *line) for line in (
    (0x20, 0, 0, 0), (0x15, 0, 1, SETUP), (0x06, 0, 0, 0x00050000 | EPERM), (0x06, 0, 0, 0x7FFF0000)))
text = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(text)))
libc = ctypes.CDLL(None, use_errno=True)
if os.getuid() != 0 and libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or libc.prctl(PR_SET_SECCOMP, FILTER, program, 0, 0) != 0:
    sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])
PYTHON

# echo.py HOST COUNT TOGETHER [PID]: so many datagrams of all kinds of lengths to the echo port, each time as many before
# their answers are read. With PID that process stands still meanwhile, so that all wait for it when it goes on. Prints how
# many came back right.
cat >"$WORK/echo.py" <<'PYTHON'
import glob, os, signal, socket, sys, time
host, count, together = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
pid = int(sys.argv[4]) if len(sys.argv) > 4 else None

def stands():
    return all(open(path).read().rpartition(")")[2].split()[0] == "T" for path in glob.glob(f"/proc/{pid}/task/*/stat"))

with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(5)
    client.connect((host, 7))
    right = 0
    for first in range(0, count, together):
        sent = [number.to_bytes(4, "big") * (1 + number % 100) for number in range(first, min(first + together, count))]
        if pid:
            os.kill(pid, signal.SIGSTOP)
            while not stands():
                time.sleep(0.001)
        for data in sent:
            client.send(data)
        if pid:
            os.kill(pid, signal.SIGCONT)
        try:
            right += sum(client.recv(2000) == data for data in sent)
        except TimeoutError:
            break
print(right)
PYTHON

begin() {
  start serve "${BEFORE[@]}" "$ADIT" serve --dev adit0 --verbose "$@"
  wait_for 10 "serve is ready" file_has "$(out_of serve)" '^Ready'
}
BEFORE=()

# calls_of NAME syscr|syscw: calls of read or write and the like that it has made (proc_pid_io(5)); those of a ring do not
# count.
calls_of() {
  awk -v row="$2:" '$1 == row { print $2 }' "/proc/${PID[$1]}/io"
}

COUNT=20000
[ "${ADIT_SANITIZED:-0}" = 0 ] || COUNT=4000
# exchange WHAT: datagrams, a flood of pings, and a transfer, all answered.
exchange() {
  local host
  for host in 192.168.3.12 fdad:3::12; do
    run python3 "$WORK/echo.py" $host $COUNT 64
    check_equal "$1: datagrams that came back from $host" "$COUNT" "$OUT$ERR"
  done
  run ping -q -f -c 1000 192.168.3.12
  check_contains "$1: answered pings" ' 1000 received' "$OUT"
  run bash -c "head -c 20000000 /dev/urandom >$WORK/up; nc -N -w 20 192.168.3.12 7 <$WORK/up | cmp - $WORK/up"
  check_status 0 "$1: 20 MB there and back ($OUT$ERR)"
}

# bursts WHAT: datagrams of which 100 at a time wait together, and their answers. READS and WRITES are how many calls they took.
BURSTS=4000
bursts() {
  local host reads writes
  reads=$(calls_of serve syscr)
  writes=$(calls_of serve syscw)
  for host in 192.168.3.12 fdad:3::12; do
    run python3 "$WORK/echo.py" $host $((BURSTS / 2)) 100 "${PID[serve]}"
    check_equal "$1: datagrams of bursts that came back from $host" $((BURSTS / 2)) "$OUT$ERR"
  done
  READS=$(($(calls_of serve syscr) - reads))
  WRITES=$(($(calls_of serve syscw) - writes))
}

begin
said=$(cat "$(err_of serve)")
case $said in
  *'is not faster here'* | *'several packets go with one system call'*) ;;
  *) skip "io_uring cannot be used: $said" ;;
esac
stop serve
check_status 0

begin --io-uring always
if ! file_has "$(err_of serve)" 'several packets go with one system call'; then fail "serve does not say that it reads several packets: $(cat "$(err_of serve)")"; fi
exchange "always"
bursts "always"
check_at_least "a call of read brings many packets, with always" "$READS" $((BURSTS / 4))
check_at_least "a call of write takes many packets, with always" "$WRITES" $((BURSTS / 4))
kill -KILL "${PID[serve]}"
wait "${PID[serve]}" 2>/dev/null || true
unset "PID[serve]"
check_lacks "after kill -9 the device is gone" adit0 "$(ip -o link)"

begin --io-uring never
exchange "never"
bursts "never"
check_at_least "one call of read for each packet, with never" $BURSTS "$READS"
check_at_least "one call of write for each packet, with never" $BURSTS "$WRITES"
stop serve
check_status 0

begin
check_match "serve says what it has found" 'several packets go with one system call|is not faster here' "$(cat "$(err_of serve)")"
exchange "auto"
stop serve
check_status 0
check_lacks "after the end the device is gone" adit0 "$(ip -o link)"

begin --io-uring always --queues 2
exchange "always, two queues"
stop serve
check_status 0

# The bad line stands between: one packet at a time.
begin --io-uring always --fault drop=0%
exchange "always, with --fault"
bursts "always, with --fault"
check_at_least "one call of read for each packet, with --fault" $BURSTS "$READS"
stop serve
check_status 0

BEFORE=(python3 "$WORK/forbidden.py")
begin
check_contains "serve says why it does without" 'io_uring is forbidden here' "$(cat "$(err_of serve)")"
exchange "where it is forbidden"
stop serve
check_status 0
run "${BEFORE[@]}" "$ADIT" serve --dev adit0 --io-uring always
check_status 1 "always fails where it is forbidden"
check_contains "and says why, and what to do" 'io_uring is forbidden here, by a container or by the sysctl kernel.io_uring_disabled; use auto' "$ERR"
check_lacks "and leaves no device" adit0 "$(ip -o link)"

run "$ADIT" serve --io-uring sometimes
check_status 2 "a word that means nothing"
check_contains "is said to" '--io-uring sometimes: unknown; give auto, always or never' "$ERR"

# A command whose namespaces, device and relay are made by the same process.
run "$ADIT" run --io-uring always --verbose -- true
check_status 0 "adit run ($ERR)"
check_contains "adit run says it, too" 'several packets go with one system call' "$ERR"

finish
