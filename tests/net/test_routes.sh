#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# adit proxy --route, --bypass, --fail-closed and adit cleanup, on a machine with one network card (veth) behind which
# there is a world: what is captured, that nothing of it gets out but through the relay, and what is left when adit is
# killed at any moment.
set -eu
. "$(dirname "$0")/lib.sh"
need curl tcpdump nft microsocks python3 ping nc setpriv

MARK=0xad10000
GATE4=10.5.0.2 # the next hop, in the local network
GATE6=fd05::2
FAR4=203.0.113.1
FAR6=2001:db8::1
OTHER4=198.51.100.1

# ---- the world ----
mkdir "$WORK/www"
echo 'hello from far away' >"$WORK/www/index.html"
netns far
ip link add v0 type veth peer name v1 netns far
in_ns far ip addr add $GATE4/24 dev v1
in_ns far ip addr add $GATE6/64 dev v1 nodad
for address in $FAR4/32 $OTHER4/32; do in_ns far ip addr add $address dev lo; done
in_ns far ip addr add $FAR6/128 dev lo nodad
in_ns far ip link set v1 up
in_ns far sysctl -q -w net.ipv4.conf.v1.arp_ignore=1 # what is far away does not answer as if it was near
ip addr add 10.5.0.1/24 dev v0
ip addr add fd05::1/64 dev v0 nodad
ip link set v0 up
ip route add default via $GATE4
ip -6 route add default via $GATE6
wait_for 10 'addresses are settled' link_is_settled v0
start_in far web python3 -m http.server --bind :: --directory "$WORK/www" 8000
start_in far socks microsocks -i $GATE4 -p 1080
wait_for 10 'the web server answers' port_answers $FAR4 8000
wait_for 10 'the proxy answers' port_answers $GATE4 1080

# The whole of this machine's routing, as text.
routing() {
  ip rule
  ip -6 rule
  ip route show table all
  ip -6 route show table all
}
before=$(routing)

# proxy ARGUMENT...: start it and wait until it is ready.
proxy() {
  start proxy "$ADIT" proxy --dev adit0 "$@"
  wait_for 10 'adit proxy is ready' file_has "$(out_of proxy)" '^Ready'
}
fetch() { curl -gsS --fail --max-time "${2:-10}" "http://$1:8000/"; }
reaches() { check_equal "$1" 'hello from far away' "$(fetch "$2" 2>&1)"; }
# ways WHAT EXPECTED...: ADDRESS=DEVICE, or =no; with "+" before it for a socket with the mark.
ways() {
  local what=$1 pair address found arguments
  shift
  for pair; do
    address=${pair%=*} arguments=()
    [ "$address" = "${address#+}" ] || arguments=(mark $MARK)
    found=$(ip route get "${address#+}" "${arguments[@]}" 2>/dev/null | sed -n 's/.* dev \([a-z0-9]*\).*/\1/p')
    check_equal "$what: way to $address" "${pair#*=}" "${found:-no}"
  done
}

# ---- everything, through a proxy: nothing else gets out ----
# What is seen on the wire, but for finding neighbours and the talk with the proxy.
start sniff tcpdump -i v0 -n -l --immediate-mode \
  "not arp and not (icmp6 and (ip6[40] == 133 or ip6[40] == 134 or ip6[40] == 135 or ip6[40] == 136 or ip6[40] == 143)) \
   and not (host $GATE4 and tcp port 1080)"
wait_for 10 'tcpdump listens' file_has "$(err_of sniff)" 'listening on'
use_everything() {
  ping -n -c 1 -W 1 $FAR4 || true
  ping -n -c 1 -W 1 $FAR6 || true
  fetch $FAR4 3 || true
  fetch "[$FAR6]" 3 || true
  fetch $OTHER4 3 || true
  for address in $FAR4 $FAR6 8.8.8.8 2001:db8:1::1; do
    echo question | nc -u -w 1 $address 53 || true
    nc -z -w 1 $address 443 || true
  done
} >/dev/null 2>&1
# begin_watch; do something; seen: what was on the wire meanwhile. A ping of the gate, which may be there, goes last, so
# that all before it has been seen when it is.
watched=0 # bytes of the output that were seen before
begin_watch() { watched=$(stat -c %s "$(out_of sniff)"); }
since() { tail -c +$((watched + 1)) "$(out_of sniff)"; }
gate_was_pinged() { since | grep -q "$GATE4 > 10.5.0.1: ICMP echo reply"; }
seen() {
  ping -n -c 1 -W 2 $GATE4 >/dev/null
  wait_for 5 'the wire shows the ping of the gate' gate_was_pinged
  since | grep -v -e "$GATE4 > 10.5.0.1: ICMP echo reply" -e "10.5.0.1 > $GATE4: ICMP echo request" || true
}

begin_watch
use_everything
on_wire=$(seen)
for part in "> $FAR4: ICMP echo request" "> $FAR6: ICMP6, echo request" "> $FAR4.8000: Flags" "> $FAR6.8000: Flags" \
  '> 8.8.8.8.53: ' '> 2001:db8:1::1.53: ' '> 8.8.8.8.443: Flags' '> 2001:db8:1::1.443: Flags'; do
  check_contains 'without adit the wire shows it' "$part" "$on_wire"
done
proxy --upstream socks5://$GATE4:1080 --route default --udp off
begin_watch
reaches 'IPv4 through the proxy' $FAR4
reaches 'IPv6 through the proxy' "[$FAR6]"
use_everything
check_command 'the local network is reached' ping -n -c 1 -W 2 $GATE4
check_equal 'nothing else is on the wire' '' "$(seen)"
ways 'default' $FAR4=adit0 +$FAR4=v0 $FAR6=adit0 +$FAR6=v0 $GATE4=v0 $GATE6=v0 127.0.0.1=lo 192.168.3.77=adit0 \
  +192.168.3.77=no
check_equal 'the main table is as it was' "$(echo "$before" | grep -c 'default via')" "$(routing | grep -c 'default via')"
run "$ADIT" cleanup
check_status 0 'cleanup beside a running adit'
check_equal 'cleanup beside a running adit removes nothing' 'there was nothing to remove' "$OUT"
reaches 'after that' $FAR4
stop proxy
check_status 0
check_equal 'the routing is as before' "$before" "$(routing)"
reaches 'directly again' $FAR4

# ---- directly: what leaves bears the mark ----
nft -f - <<NFT
table inet watch {
  chain out {
    type filter hook output priority 0;
    oifname "v0" ip daddr != 10.5.0.0/24 meta mark != $MARK counter comment "unmarked4"
    oifname "v0" ip6 daddr 2000::/3 meta mark != $MARK counter comment "unmarked6"
    oifname "v0" meta mark $MARK counter comment "marked"
  }
}
NFT
packets() { nft list table inet watch | sed -n "s/.*packets \([0-9]*\) .*\"$1\".*/\1/p"; }
proxy --route default --bypass $OTHER4/32
for host in $FAR4 "[$FAR6]"; do reaches "directly: $host" "$host"; done
ping -n -c 1 -W 1 $FAR4 >/dev/null 2>&1 || true
echo question | nc -u -w 1 $FAR4 53 >/dev/null 2>&1 || true
check_at_least 'marked packets leave' 10 "$(packets marked)"
check_equal 'no other IPv4 leaves' 0 "$(packets unmarked4)"
check_equal 'no other IPv6 leaves' 0 "$(packets unmarked6)"
reaches 'bypassed' $OTHER4
check_at_least 'what is bypassed leaves without the mark' 4 "$(packets unmarked4)"
ways 'bypass' $OTHER4=v0 198.51.100.2=adit0
# The address of the device's own network comes back into the device: refused, not relayed without end.
run curl -sS --max-time 10 http://192.168.3.77:8000/
check_match 'a way back into the device ends' '^(7|56)$' "$STATUS"
stop proxy
check_status 0
check_contains 'it did not go round and round' 'connections: ' "$OUT"
begun=$(echo "$OUT" | sed -n 's/.*connections: \([0-9]*\) begun.*/\1/p')
[ "$begun" -lt 20 ] || fail "a connection went round and round: $begun begun"
check_equal 'the routing is as before' "$before" "$(routing)"
nft delete table inet watch

# ---- single networks; the longest prefix counts ----
proxy --route 203.0.113.0/24 --route 10.0.0.0/8 --route fd05::2 --mark 77
ways 'single networks' $FAR4=adit0 10.9.9.9=adit0 $GATE4=v0 $OTHER4=v0 $FAR6=v0 $GATE6=adit0 fd05::3=v0
check_equal 'the mark is chosen' v0 "$(ip route get $FAR4 mark 77 | sed -n 's/.* dev \([a-z0-9]*\).*/\1/p')"
reaches 'a single network' $FAR4
check_equal 'a program may ask for another interface' 'hello from far away' \
  "$(curl -sS --fail --max-time 10 --interface v0 http://$FAR4:8000/)"
stop proxy INT
check_status 0 'an interrupt ends it in order'
check_equal 'the routing is as before' "$before" "$(routing)"

# ---- killed: open as before; cleanup says what it removes ----
proxy --route default --bypass $OTHER4/32
stop proxy KILL
check_status 137
wait_for 5 'the device is gone' link_is_gone adit0
reaches 'after kill -9: IPv4' $FAR4
reaches 'after kill -9: IPv6' "[$FAR6]"
run "$ADIT" cleanup
check_status 0 cleanup
check_contains 'cleanup names rules' 'removed: IPv4 rule 30002 of table 1000000' "$OUT"
check_contains 'cleanup names rules of IPv6' 'removed: IPv6 rule 30390 of table 1000000' "$OUT"
check_equal 'after cleanup the routing is as before' "$before" "$(routing)"
run "$ADIT" cleanup
check_status 0 'cleanup once more'
check_equal 'cleanup once more' 'there was nothing to remove' "$OUT"

# ---- killed with --fail-closed: what was captured stays blocked ----
proxy --upstream socks5://$GATE4:1080 --udp off --route default --bypass $OTHER4/32 --fail-closed
reaches 'fail closed: it works' $FAR4
for host in $FAR4 "[$FAR6]"; do
  run curl -gsS --max-time 5 --interface v0 "http://$host:8000/"
  check_match "fail closed: $host is not reached by asking for another interface" '^(7|28|45)$' "$STATUS"
done
stop proxy KILL
wait_for 5 'the device is gone' link_is_gone adit0
begin_watch
for host in $FAR4 "[$FAR6]"; do
  run curl -gsS --max-time 5 "http://$host:8000/"
  check_status 7 "fail closed: $host is refused at once"
done
ping -n -c 1 -W 1 $FAR4 >/dev/null 2>&1 || true
echo question | nc -u -w 1 $FAR6 53 >/dev/null 2>&1 || true
reaches 'fail closed: what is bypassed is open' $OTHER4
check_command 'fail closed: the local network is open' ping -n -c 1 -W 2 $GATE4
check_equal 'fail closed: nothing captured is on the wire' '' "$(seen | grep -v "$OTHER4" || true)"
# The next start takes over without a gap, and says what it found.
begin_watch
proxy --upstream socks5://$GATE4:1080 --udp off --route default --fail-closed
reaches 'the next start works' $FAR4
check_contains 'the next start says what it removed' 'that an earlier run had left' "$(cat "$(err_of proxy)")"
check_equal 'the next start leaves nothing on the wire' '' "$(seen)"
stop proxy
check_status 0
check_equal 'an orderly end opens what was closed' "$before" "$(routing)"
reaches 'directly again' $FAR4

# A fault of adit's own keeps it closed as well.
proxy --route default --fail-closed
ip link del adit0
await proxy
check_status 1 'the device is taken away'
check_contains 'what stays blocked is said' "'adit cleanup'" "$ERR"
run curl -sS --max-time 5 http://$FAR4:8000/
check_status 7 'it stays closed'
check_command 'cleanup opens it' "$ADIT" cleanup
check_equal 'the routing is as before' "$before" "$(routing)"

# ---- killed at every moment of the start and of the end ----
for moment in $(seq 0 2 60); do
  start proxy "$ADIT" proxy --dev adit0 --route default --route 10.0.0.0/8 --bypass $OTHER4/32
  sleep "$(printf '0.%03d' "$moment")" # not for luck: the moment is what is tested
  stop proxy KILL
  check_equal "killed after $moment ms: IPv4 is open" 'hello from far away' "$(fetch $FAR4 2>&1)"
  check_equal "killed after $moment ms: IPv6 is open" 'hello from far away' "$(fetch "[$FAR6]" 2>&1)"
  check_command "killed after $moment ms: cleanup" "$ADIT" cleanup -q
  check_equal "killed after $moment ms: cleaned up" "$before" "$(routing)"
done
for moment in $(seq 0 3 36); do
  proxy --route default --fail-closed
  kill -TERM "${PID[proxy]}"
  sleep "$(printf '0.%03d' "$moment")"
  kill -KILL "${PID[proxy]}" 2>/dev/null || true
  await proxy
  check_command "killed $moment ms into its end: cleanup" "$ADIT" cleanup -q
  check_equal "killed $moment ms into its end: cleaned up" "$before" "$(routing)"
done

# ---- two at once ----
proxy --route default
start second "$ADIT" proxy --dev adit1 --address 10.99.0.1/24 --route 203.0.113.0/24
wait_for 10 'the second one is ready' file_has "$(out_of second)" '^Ready'
ways 'two at once' $FAR4=adit1 +$FAR4=v0 $OTHER4=adit0 +$OTHER4=v0
reaches 'two at once: through the second' $FAR4
reaches 'two at once: through the first' $OTHER4
stop second KILL
wait_for 5 'the second device is gone' link_is_gone adit1
ways 'the second killed' $FAR4=adit0 +$FAR4=v0
reaches 'the second killed: through the first' $FAR4
check_command 'cleanup of the second' "$ADIT" cleanup
check_contains 'cleanup of the second' 'removed: ' "$OUT"
reaches 'the first goes on' $FAR4
stop proxy
check_equal 'the routing is as before' "$before" "$(routing)"

# ---- a machine without IPv6 on the device ----
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
proxy --route default
run curl -gsS --max-time 5 "http://[$FAR6]:8000/"
check_status 7 'IPv6 that the device cannot take is refused'
check_contains 'IPv6 that the device cannot take: said' 'what is captured of it is refused' "$(cat "$(err_of proxy)")"
reaches 'IPv4 works' $FAR4
stop proxy
echo 0 >/proc/sys/net/ipv6/conf/default/disable_ipv6
check_equal 'the routing is as before' "$before" "$(routing)"

# ---- the strict reverse path filter drops what answers the relay; it is said, and the advice is right ----
echo 1 >/proc/sys/net/ipv4/conf/v0/rp_filter
proxy --route default
run curl -sS --max-time 2 http://$FAR4:8000/
check_status 28 'the strict filter is in the way'
check_contains 'the strict filter: what to do' 'sysctl -w net.ipv4.conf.v0.rp_filter=2' "$(cat "$(err_of proxy)")"
sysctl -q -w net.ipv4.conf.v0.rp_filter=2
reaches 'with the loose filter it works' $FAR4
stop proxy
echo 0 >/proc/sys/net/ipv4/conf/v0/rp_filter

# ---- what cannot be ----
run "$ADIT" proxy --bypass 10.0.0.0/8
check_status 2 '--bypass without --route'
check_contains '--bypass without --route: what to do' '--route default' "$ERR"
run "$ADIT" proxy --route everything
check_status 2 'a route that is none'
check_contains 'a route that is none: what to write' 'default' "$ERR"
run "$ADIT" proxy --route default --mtu 1000
check_status 2 'an MTU without IPv6'
check_contains 'an MTU without IPv6: what to do' '--route 0.0.0.0/0' "$ERR"
index=$(ip -o link show v0 | cut -d: -f1)
for table in $(seq $((1000000000 + index)) $((1000000000 + index + 200))); do
  echo "route add 192.0.2.0/24 dev v0 table $table"
done | ip -batch -
run "$ADIT" proxy --route default
check_status 1 'a table that somebody else uses'
check_contains 'a table that somebody else uses: why' 'is in use by another program' "$ERR"
for table in $(seq $((1000000000 + index)) $((1000000000 + index + 200))); do
  echo "route flush table $table"
done | ip -batch -
check_equal 'the routing is as before' "$before" "$(routing)"
proxy --route default
stop proxy KILL
run setpriv --bounding-set=-net_admin --inh-caps=-net_admin "$ADIT" cleanup
check_status 1 'cleanup without permission'
check_contains 'cleanup without permission: what to do' 'CAP_NET_ADMIN' "$ERR"
check_command 'cleanup' "$ADIT" cleanup
check_equal 'at the end the routing is as at the beginning' "$before" "$(routing)"
stop sniff

finish
