#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# adit dump: every packet of a real ping and no other, in each format, and every way in which it ends.
set -eu
. "$(dirname "$0")/lib.sh"
need ping python3

BEFORE=$(links)

# start_dump OPTION...: and wait until it reads.
start_dump() {
  start dump "$ADIT" dump "$@"
  wait_for 10 "adit dump reads" file_has "$(err_of dump)" 'printing what comes into'
}

# Nobody answers, so ping ends with 1.
ping_silence() {
  run ping -n -c "$1" -i 0.2 -W 1 "$2"
  check_status 1 "ping to $2 gets no answer"
}

# The device goes with the command, whatever the way.
check_nothing_left() {
  check_equal "interfaces after $1" "$BEFORE" "$(links)"
  check_equal "routes after $1" "" "$(ip route; ip -6 route show | grep -v ' lo ' || true)"
}

# --- decimal: four packets, four lines of 84 bytes
start_dump --format=decimal
check_contains "it says what it made" "adit0 (TUN, MTU 1500, 192.168.3.11/24, fdad:3::11/64)" "$(cat "$(err_of dump)")"
ping_silence 4 192.168.3.12
wait_for 5 "four lines" file_has_lines "$(out_of dump)" 4
stop dump
check_status 0 "SIGTERM ends it in order"
check_contains "count at the end" "adit dump: 4 packets, 336 bytes" "$ERR"
check_equal "lines" 4 "$(printf '%s\n' "$OUT" | wc -l)"
check_equal "numbers in each line" "84 84 84 84" "$(printf '%s\n' "$OUT" | awk '{ print NF }' | paste -sd' ')"
check_equal "first numbers of each line" "69 0 0 84" "$(printf '%s\n' "$OUT" | cut -d' ' -f1-4 | sort -u)"
check_equal "addresses of each line" "192 168 3 11 192 168 3 12" "$(printf '%s\n' "$OUT" | cut -d' ' -f13-20 | sort -u)"
check_equal "numbers above 255" "" "$(printf '%s\n' "$OUT" | tr ' ' '\n' | awk '$1 > 255 || $1 !~ /^[0-9]+$/')"
check_nothing_left "SIGTERM"

# --- lines, IPv4 and IPv6; SIGINT; a name of its own
start_dump --dev walk%d
check_contains "name by number" "walk0 (TUN" "$(cat "$(err_of dump)")"
ping_silence 2 192.168.3.12
ping_silence 1 fdad:3::12
wait_for 5 "three lines" file_has_lines "$(out_of dump)" 3
stop dump INT
check_status 0 "SIGINT ends it in order"
check_equal "three lines, nothing of the kernel's own between" 3 "$(printf '%s\n' "$OUT" | wc -l)"
check_match "first line" \
  '^[0-9:]{8}\.[0-9]{6} 192\.168\.3\.11 > 192\.168\.3\.12 ICMP echo request, id [0-9]+, seq 1, len 64, 84 bytes' "$OUT"
check_match "last line" 'fdad:3::11 > fdad:3::12 ICMPv6 echo request, id [0-9]+, seq 1, len 64, 104 bytes$' "$OUT"
check_nothing_left "SIGINT"

# --- hex; --count ends it by itself; -q says nothing
start dump "$ADIT" dump -q -x --count 2
wait_for 10 "the device is up" link_is_up adit0
ping_silence 2 192.168.3.12
await dump
check_status 0 "--count ends it"
check_equal "-q" "" "$ERR"
check_equal "lines of two packets" 14 "$(printf '%s\n' "$OUT" | wc -l)"
check_contains "first bytes" "0x0000:  4500 0054" "$OUT"
check_contains "addresses" "c0a8 030b" "$OUT"
check_nothing_left "--count"

# --- without offload a large packet comes as fragments of at most the MTU; the checksums are complete
start_dump --format=decimal --mtu 1400
run ping -n -c 1 -W 1 -s 3000 192.168.3.12
wait_for 5 "three fragments" file_has_lines "$(out_of dump)" 3
stop dump
check_equal "fragments" "1396 1396 276" "$(printf '%s\n' "$OUT" | awk '{ print NF }' | paste -sd' ')"

# --- with --offload the kernel leaves a TCP checksum to the device, without it is complete
cat >"$WORK/sum.py" <<'PYTHON'
import sys
packet = bytes(map(int, sys.stdin.readline().split()))
part = packet[12:20] + bytes([0, 6]) + (len(packet) - 20).to_bytes(2, "big") + packet[20:]
total = sum(part[i] << 8 | part[i + 1] for i in range(0, len(part), 2))
while total >> 16:
    total = (total & 0xFFFF) + (total >> 16)
print("TCP" if packet[9] == 6 else packet[9], "complete" if total == 0xFFFF else "partial")
PYTHON
for mode in --offload --no-offload; do
  start_dump "$mode" --format=decimal
  start client bash -c 'exec 3<>/dev/tcp/192.168.3.12/80'
  wait_for 5 "a SYN" file_has_lines "$(out_of dump)" 1
  stop client
  stop dump
  case $mode in --offload) expected=partial ;; *) expected=complete ;; esac
  check_equal "checksum with $mode" "TCP $expected" "$(python3 "$WORK/sum.py" <<<"$OUT")"
done

# --- TAP: frames; ARP asks for the address
start_dump --tap --address 10.9.0.1/24
check_contains "TAP" "(TAP, MTU 1500, 10.9.0.1/24)" "$(cat "$(err_of dump)")"
run ping -n -c 1 -W 1 10.9.0.2
wait_for 5 "ARP" file_has "$(out_of dump)" 'ARP'
stop dump
check_match "ARP request" 'ARP.*10\.9\.0\.2.*10\.9\.0\.1' "$OUT"
check_nothing_left "TAP"

# --- a reader that goes: quiet end
mkfifo "$WORK/pipe"
start_to dump "$WORK/pipe" "$ADIT" dump
start reader head -n 1 "$WORK/pipe"
wait_for 10 "adit dump reads" file_has "$(err_of dump)" 'printing what comes into'
ping_silence 3 192.168.3.12
await reader
check_match "the reader has its line" 'seq 1, len 64, 84 bytes$' "$OUT"
await dump
check_status 0 "a closed pipe ends it"
check_equal "lines on standard error" 1 "$(printf '%s\n' "$ERR" | wc -l)"
check_nothing_left "a closed pipe"

# --- a reader that takes nothing: a signal still ends it
start_to dump "$WORK/pipe" "$ADIT" dump -x
exec 7<"$WORK/pipe"
wait_for 10 "adit dump reads" file_has "$(err_of dump)" 'printing what comes into'
run ping -q -c 200 -l 50 -s 1000 -i 0.002 -W 1 192.168.3.12
check_match "more than a pipe holds was sent" '200 packets transmitted' "$OUT"
stop dump
check_status 0 "SIGTERM while the pipe is full"
exec 7<&-
check_nothing_left "a full pipe"

# --- output that fails
start_to dump /dev/full "$ADIT" dump
wait_for 10 "adit dump reads" file_has "$(err_of dump)" 'printing what comes into'
ping_silence 1 192.168.3.12
await dump
check_status 1 "/dev/full"
check_contains "/dev/full" "cannot write to standard output: No space left on device" "$ERR"

# --- kill -9 leaves nothing
start_dump
kill -KILL "${PID[dump]}"
await dump
check_status 137 "kill -9"
wait_for 5 "the device is gone" link_is_gone adit0
check_nothing_left "kill -9"

# --- the device is taken away
start_dump
ip link delete adit0
await dump
check_status 1 "a removed device"
check_contains "a removed device" "adit0: somebody removed the device; start again" "$ERR"

# --- the device is set down and up again: no busy loop, and reading goes on
start_dump
ip link set adit0 down
ticks() { awk '{ print $14 + $15 }' "/proc/${PID[dump]}/stat"; }
first=$(ticks)
run ping -n -c 2 -i 0.2 -W 1 127.0.0.1
busy=$(($(ticks) - first))
[ "$busy" -le 10 ] || fail "a device that is down: expected at most 10 ticks of CPU, found $busy"
passed "a device that is down costs no CPU"
ip link set adit0 up
ping_silence 1 192.168.3.12
wait_for 5 "one line" file_has_lines "$(out_of dump)" 1
stop dump
check_status 0

# --- a persistent device is left as it was found
ip tuntap add dev keep0 mode tun
ip link set keep0 addrgenmode none
ip address add 10.8.0.1/24 dev keep0
start_dump --dev keep0 --address 10.7.0.1/24 --mtu 1300
check_contains "configured" "keep0 (TUN, MTU 1300, 10.8.0.1/24, 10.7.0.1/24)" "$(cat "$(err_of dump)")"
ping_silence 1 10.7.0.9
ping_silence 1 10.8.0.9
wait_for 5 "two lines" file_has_lines "$(out_of dump)" 2
stop dump
check_status 0
found=$(ip -o address show dev keep0 | awk '{ print $4 }' | paste -sd' ')
check_equal "addresses of a persistent device afterwards" "10.8.0.1/24" "$found"
check_match "MTU and state of a persistent device afterwards" 'mtu 1500 .*state DOWN' "$(ip -o link show dev keep0)"
ip tuntap del dev keep0 mode tun

# --- an inherited fd: --fd
cat >"$WORK/inherit.py" <<'PYTHON'
import fcntl, os, struct, sys
fd = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", b"given0", 0x1001))  # TUNSETIFF, IFF_TUN | IFF_NO_PI
os.dup2(fd, 9)
os.execv(sys.argv[1], sys.argv[1:])
PYTHON
start dump python3 "$WORK/inherit.py" "$ADIT" dump --fd 9 --address 10.6.0.1/24
wait_for 10 "adit dump reads" file_has "$(err_of dump)" 'printing what comes into'
check_contains "--fd" "given0 (TUN, MTU 1500, 10.6.0.1/24" "$(cat "$(err_of dump)")"
ping_silence 1 10.6.0.9
wait_for 5 "one line" file_has "$(out_of dump)" '10.6.0.1 > 10.6.0.9'
stop dump
check_status 0 "--fd"
check_nothing_left "--fd"

# --- a configuration file, and the command line against it
printf 'format: decimal\nmtu: 1300\naddress:\n  - 10.5.0.1/24\n' >"$WORK/adit.yaml"
start_dump --config "$WORK/adit.yaml" --mtu 1350
check_contains "file and command line" "(TUN, MTU 1350, 10.5.0.1/24)" "$(cat "$(err_of dump)")"
ping_silence 1 10.5.0.9
wait_for 5 "one line" file_has "$(out_of dump)" '^69 0 0 84'
stop dump
check_status 0

# --- a machine without IPv6: IPv4 alone, and a word about it
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
start_dump
check_contains "no IPv6" "(TUN, MTU 1500, 192.168.3.11/24)" "$(cat "$(err_of dump)")"
check_contains "no IPv6" "without address fdad:3::11/64, because there is no IPv6 here" "$(cat "$(err_of dump)")"
stop dump
check_status 0
finish
