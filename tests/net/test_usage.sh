#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Bad input: every message says what, why and what to do; the exit status is 2 for wrong usage and 1 for failures; nothing
# is left behind. Also help and version.
set -eu
. "$(dirname "$0")/lib.sh"
need setpriv

state() { ip -o link show | sed 's/ qlen.*//'; ip -o address show; ip route; ip -6 route; ip rule; }
BEFORE=$(state)

# refuse STATUS MESSAGE WORD...: "adit WORD..." fails with that status, says MESSAGE on standard error in one line, prints
# nothing, and changes nothing.
refuse() {
  local status=$1 message=$2
  shift 2
  RUN_SECONDS=10 run "${PREFIX[@]}" "$ADIT" "$@"
  check_status "$status" "adit $*"
  check_contains "adit $*: message" "$message" "$ERR"
  check_equal "adit $*: lines of message" 1 "$(printf '%s\n' "$ERR" | wc -l)"
  check_equal "adit $*: standard output" "" "$OUT"
  check_equal "adit $*: network afterwards" "$BEFORE" "$(state)"
}
PREFIX=()

# --- help and version
run "$ADIT"
check_status 2 "no command"
check_contains "no command" "Usage: adit COMMAND" "$ERR"
for words in help --help -h "help help"; do
  # shellcheck disable=SC2086 # a list of words
  run "$ADIT" $words
  check_status 0 "adit $words"
  for command in serve dump reflect replay; do check_match "adit $words" "(^|"$'\n'")  $command +[a-z]" "$OUT"; done
  check_equal "adit $words: standard error" "" "$ERR"
done
for command in serve dump reflect replay; do
  run "$ADIT" help "$command"
  check_status 0 "adit help $command"
  check_contains "adit help $command" "Usage: adit $command [OPTION]..." "$OUT"
  check_contains "adit help $command" "--config FILE" "$OUT"
  text=$OUT
  run "$ADIT" "$command" --help
  check_equal "adit $command --help" "$text" "$OUT"
done

# --- the manual pages know every option of the help text, and no other
MAN=$(cd "$(dirname "$0")/../../man" && pwd)
for command in serve dump reflect replay; do
  run "$ADIT" help "$command"
  in_help=$(printf '%s\n' "$OUT" | grep -oE '^ {2}(-.,|   ) --[a-z-]+' | sed 's/.*--//' | sort -u | paste -sd' ')
  in_page=$(sed -n 's/^\.It Fl -\([a-z-]*\).*/\1/p;s/^\.It Fl [a-z] , Fl -\([a-z-]*\).*/\1/p' "$MAN/adit-$command.1" | sort -u |
    paste -sd' ')
  check_equal "options in adit-$command.1" "$in_help" "$in_page"
  check_contains "adit.1 names the command" ".Xr adit-$command 1" "$(cat "$MAN/adit.1")"
done

run "$ADIT" --version
check_status 0 "adit --version"
check_match "adit --version" '^adit [0-9]+\.[0-9]+\.[0-9]+$' "$OUT"
run bash -c "\"$ADIT\" help >/dev/full"
check_status 1 "help to a full disk"
check_contains "help to a full disk" "adit: cannot write to standard output: No space left on device" "$ERR"

# --- commands
refuse 2 "adit: dmup: unknown command; did you mean 'adit dump'? ('adit help' lists the commands)" dmup
refuse 2 "adit: refelct: unknown command; did you mean 'adit reflect'?" refelct
refuse 2 "adit: xyzzy: unknown command ('adit help' lists the commands)" xyzzy
refuse 2 "adit: --nonsense: unknown option ('adit help' lists the commands)" --nonsense
refuse 2 "adit: dmup: unknown command; did you mean 'adit dump'?" help dmup

# --- options
refuse 2 "adit dump: --mtu 70000: out of range; give 68..65535" dump --mtu 70000
refuse 2 "adit serve: --mtu 68: out of range; give 576..65535" serve --mtu 68
refuse 2 "adit dump: --mtu 65530: out of range for a TAP device; give 68..65521" dump --tap --mtu 65530
refuse 2 "adit dump: --mtu x: not a whole number; give 68..65535" dump --mtu x
refuse 2 "adit dump: --mtu: its argument is missing; write --mtu N, for example --mtu 1400" dump --mtu
refuse 2 "adit dump: --dev: its argument is missing; write --dev NAME" dump --dev --tap
refuse 2 "adit dump: --dev abcdefghijklmnop: 16 bytes long; the name of an interface has at most 15, such as adit0" \
  dump --dev abcdefghijklmnop
refuse 2 "adit dump: --dev a/b: '/' cannot be in the name of an interface" dump --dev a/b
refuse 2 "adit serve: --address 192.168.3.11/33: the prefix '33' is not a number of bits; give 192.168.3.11/0..32" \
  serve --address 192.168.3.11/33
refuse 2 "adit dump: --address 300.1.1.1/24: not an address with a prefix length; write it like 192.168.3.11/24" \
  dump --address 300.1.1.1/24
refuse 2 "adit serve: --answer here: not an address with a prefix length; write it like 192.168.3.0/24 or fdad:3::/64" \
  serve --answer here
refuse 2 "adit dump: --address 10.0.0.0/24: the first address of that network; give a host's, such as 10.0.0.1/24" \
  dump --address 10.0.0.0/24
refuse 2 "adit dump: --bridge br0: a bridge takes Ethernet frames only; add --tap" dump --bridge br0
refuse 2 "adit dump: --format xml: unknown; give line, hex or decimal" dump --format=xml
refuse 2 "adit serve: --queues 257: out of range; give 1..256" serve --queues 257
refuse 2 "adit dump: --mut: unknown option; did you mean --mtu? (see 'adit dump --help')" dump --mut 1500
refuse 2 "adit dump: --swap: unknown option; it belongs to 'adit reflect' (see 'adit dump --help')" dump --swap
refuse 2 "adit dump: -z: unknown option (see 'adit dump --help')" dump -z
refuse 2 "adit dump: --tap=1: --tap takes no argument; leave it out" dump --tap=1
refuse 2 "adit dump: stray: one argument too many; options begin with -- (see 'adit dump --help')" dump stray
refuse 2 "adit proxy: --upstream: unknown scheme 'sock5://'; known are direct://, reject://, socks5:// and http://" \
  proxy --upstream sock5://user:secret@host:1
refuse 2 "adit replay: IN.pcap is missing; give the capture to replay" replay
refuse 2 "adit dump: --tap: was settled by whoever opened the device of --fd; leave one of the two out" dump --fd 0 --tap

# --- configuration file
printf 'dev: adit0\nmtu: 70000\n' >"$WORK/mtu.yaml"
refuse 2 "adit dump: $WORK/mtu.yaml:2: mtu: 70000: out of range; give 68..65535" dump --config "$WORK/mtu.yaml"
printf 'dve: adit0\n' >"$WORK/key.yaml"
refuse 2 "adit dump: $WORK/key.yaml:1: dve: unknown key for 'adit dump'; did you mean dev?; allowed are: dev, tap," \
  dump --config "$WORK/key.yaml"
printf 'mtu: [1, 2]\n' >"$WORK/type.yaml"
refuse 2 "$WORK/type.yaml:1: mtu: a list; give a whole number, for example 'mtu: 1400'" dump --config "$WORK/type.yaml"
printf 'mtu: 1400\ndev: "x\n' >"$WORK/syntax.yaml"
refuse 2 "$WORK/syntax.yaml:3: not YAML: " dump --config "$WORK/syntax.yaml"
refuse 1 "adit dump: --config $WORK/none.yaml: cannot be read: No such file or directory; give a file that exists" \
  dump --config "$WORK/none.yaml"
refuse 1 "adit dump: --config $WORK: cannot be read; give a regular file" dump --config "$WORK"

# --- devices that cannot be had
refuse 1 "adit dump: --dev lo: exists and is no TUN or TAP device" dump --dev lo
refuse 1 "adit dump: --fd 77: is not open in this process" dump --fd 77
refuse 1 "adit dump: --bridge br9: there is no such interface; make the bridge first (ip link add br9 type bridge" \
  dump --tap --bridge br9
refuse 1 "adit dump: --bridge lo: is an interface but no bridge" dump --tap --bridge lo
refuse 1 "adit dump: address 127.0.0.1 is already in use on lo; give another --address" dump --address 127.0.0.1/8

refuse 1 "adit proxy: --interface none0: there is no such interface; give one that 'ip link' shows" \
  proxy --interface none0
refuse 1 "adit replay: $WORK/none.pcap: cannot be read: No such file or directory; give a file that exists" \
  replay "$WORK/none.pcap"

# --- a device that another process has, and its addresses
start holder "$ADIT" dump --dev busy0
wait_for 10 "busy0 is up" link_is_up busy0
wait_for 10 "it reads" file_has "$(err_of holder)" 'printing what comes into'
BEFORE=$(state)
refuse 1 "adit dump: --dev busy0: in use by process ${PID[holder]} (adit); choose another name or end that process" \
  dump --dev busy0 --address 10.4.0.1/24
refuse 1 "adit dump: --dev busy0: exists as a TUN device, not TAP; leave out --tap, or choose another name" \
  dump --dev busy0 --tap --address 10.4.0.1/24
refuse 1 "adit dump: address 192.168.3.11 is already in use on busy0; give another --address, or stop the program" dump
stop holder
check_status 0
BEFORE=$(state)

# --- the default network is somebody else's; a chosen one is only warned of
ip link add lan0 type bridge
ip link set lan0 addrgenmode none up # no address that comes later
ip address add 192.168.3.77/24 dev lan0
BEFORE=$(state)
refuse 1 "adit dump: the network of 192.168.3.11/24 is already in use on lan0 (192.168.3.77/24); give another one with \
--address" dump
start warned "$ADIT" dump --address 192.168.3.11/24
wait_for 10 "it reads all the same" file_has "$(err_of warned)" 'printing what comes into'
stop warned
check_contains "a warning" "note: lan0 has an address (192.168.3.77/24) in the network of 192.168.3.11/24" "$ERR"
ip link delete lan0
BEFORE=$(state)

# --- no permission: neither for a new device, nor for changing one that somebody prepared
ip link add br0 type bridge
ip link set br0 addrgenmode none up # no address that comes later
ip tuntap add dev keep0 mode tap
ip link add bond0 type bridge
ip link set keep0 master bond0
BEFORE=$(state)
PREFIX=(setpriv --bounding-set=-net_admin --inh-caps=-net_admin)
refuse 1 "adit dump: no permission to make a TUN device; run as root (sudo) or with the capability CAP_NET_ADMIN" dump
refuse 1 "keep0: bridge br0 cannot be set: Operation not permitted; run as root (sudo) or with the capability" \
  dump --tap --dev keep0 --bridge br0
refuse 1 "keep0: MTU 1400 cannot be set: Operation not permitted" dump --tap --dev keep0 --mtu 1400
refuse 1 "keep0: address 10.4.0.1/24 cannot be set: Operation not permitted" dump --tap --dev keep0 --address 10.4.0.1/24
refuse 1 "keep0: the state up cannot be set: Operation not permitted" dump --tap --dev keep0
PREFIX=()

# --- a step that fails when earlier ones were done: they are taken back
ip link set keep0 nomaster
ip link delete bond0
BEFORE=$(state)
echo 1 >/proc/sys/net/ipv6/conf/keep0/disable_ipv6
refuse 1 "keep0: address fd00::1/64 cannot be set: " \
  dump --tap --dev keep0 --mtu 1400 --address 10.4.0.1/24 --address fd00::1/64
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
refuse 1 "adit0: address fd00::1/64 cannot be set: " dump --address 10.4.0.1/24 --address fd00::1/64
ip tuntap del dev keep0 mode tap
ip link delete br0
BEFORE=$(state)

# --- /dev/net/tun: not allowed, absent, something else
mount -t tmpfs none /dev/net
refuse 1 "adit dump: there is no /dev/net/tun, from which devices are made; load the kernel's driver (modprobe tun) or" dump
install -m 0 /dev/null /dev/net/tun
PREFIX=(setpriv --bounding-set=-all --inh-caps=-all)
refuse 1 "adit dump: /dev/net/tun cannot be opened: Permission denied; run as root (sudo), or let an administrator" dump
PREFIX=()
refuse 1 "adit dump: the TUN device cannot be opened: Inappropriate ioctl for device" dump
umount /dev/net
finish
