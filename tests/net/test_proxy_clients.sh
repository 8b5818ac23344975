#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# adit proxy as the default route of programs that people use: curl (HTTP/1.1, HTTP/2, 64 at once), wget, git over ssh
# and http, iperf3, nc, socat, dig. Each over IPv4 and IPv6, directly, through SOCKS5 with and without password, and
# through HTTP. far_web.sh describes the servers.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/far_web.sh"
need wget git iperf3 socat
far_web

IPERF_BYTES=30000000
[ "${ADIT_SANITIZED:-0}" = 0 ] || IPERF_BYTES=20000000

# ---- a repository, served by nginx as files and by sshd ----
export HOME=$WORK/home GIT_CONFIG_NOSYSTEM=1
mkdir "$HOME"
git config --global user.name tester
git config --global user.email tester@far.test
git config --global init.defaultBranch main
git config --global advice.detachedHead false
git init -q "$WORK/source"
for i in 1 2 3 4 5; do # the first commits are a pack, the last are single objects
  head -c 300000 /dev/urandom >"$WORK/source/random$i"
  seq 1 2000 >"$WORK/source/text$i"
  git -C "$WORK/source" add .
  git -C "$WORK/source" commit -q -m "commit $i"
  [ $i != 3 ] || git -C "$WORK/source" repack -a -d -q
done
git clone -q --bare --no-hardlinks --local "$WORK/source" "$WEB/repository.git"
git -C "$WEB/repository.git" update-server-info
HEAD=$(git -C "$WORK/source" rev-parse HEAD)

# sshd wants a root that it may leave for another user: without user ids beyond root's it cannot run.
ssh=yes
if ! command -v ssh >/dev/null || [ ! -x /usr/sbin/sshd ]; then
  ssh='' why="openssh-server and openssh-client are not installed"
elif [ "$(awk '{ print $3 }' /proc/self/uid_map)" -le 65534 ]; then
  ssh='' why="sshd needs more than one user id; run this test as root"
fi
if [ -n "$ssh" ]; then
  ssh-keygen -q -t ed25519 -N '' -f "$WORK/host_key"
  ssh-keygen -q -t ed25519 -N '' -f "$WORK/user_key"
  printf 'v4.test,v6.test,10.9.0.2 %s\n' "$(cat "$WORK/host_key.pub")" >"$WORK/known_hosts"
  sed 's/^root:[^:]*/root:*/' /etc/shadow >"$WORK/shadow" # no password, but not locked either
  chmod 600 "$WORK/shadow"
  cat >"$WORK/sshd.conf" <<SSHD
HostKey $WORK/host_key
AuthorizedKeysFile $WORK/user_key.pub
PermitRootLogin prohibit-password
PidFile none
StrictModes no
UsePAM no
SSHD
  # `ip netns exec` gives it mounts of its own: /run and /etc/shadow are other files for nobody else.
  start_in outside sshd sh -c "mount -t tmpfs none /run && mkdir -m 755 /run/sshd &&
    mount --bind '$WORK/shadow' /etc/shadow && exec /usr/sbin/sshd -D -e -f '$WORK/sshd.conf'"
  wait_for 10 'sshd listens' in_ns outside nc -z 10.9.0.2 22
  export GIT_SSH_COMMAND="ssh -F none -i $WORK/user_key -o UserKnownHostsFile=$WORK/known_hosts -o BatchMode=yes \
-o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o ConnectTimeout=10"
  # OpenSSH is a SOCKS5 server too, one that lets each side end alone.
  start_in outside dynamic ssh -F none -N -D 10.9.0.2:1085 -i "$WORK/user_key" -o BatchMode=yes -o IdentitiesOnly=yes \
    -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$WORK/known_hosts" root@10.9.0.2
  wait_for 10 'ssh -D listens' in_ns outside nc -z 10.9.0.2 1085
else
  printf '%s: left out: git clone over ssh, and ssh -D as upstream: %s\n' "$TEST" "$why" >&2
  [ "${CI:-}" != true ] || fail "left out: git clone over ssh: $why"
fi
start_in outside echo socat TCP6-LISTEN:7,fork,reuseaddr,ipv6only=0 PIPE
wait_for 10 'echo listens' in_ns outside nc -z 10.9.0.2 7

SUM=$(cd "$WEB/o" && sha256sum -- * | sha256sum)

# ---- clients: each takes the way's name and the host's ----
# curl_objects WHAT COUNT CURL-ARGUMENT... URL: the first COUNT objects; each is what it was.
curl_objects() {
  local what=$1 count=$2 i
  shift 2
  forget_requests
  mkdir "$WORK/got"
  check_command "$what" curl -sS --fail --max-time 30 --cacert "$CA" -o "$WORK/got/#1.svg" "$@"
  for ((i = 1; i <= count; i++)); do
    cmp -s "$WORK/got/$i.svg" "$WEB/o/$i.svg" || fail "$what: object $i: $(cksum "$WORK/got/$i.svg" "$WEB/o/$i.svg")"
  done
  passed "$what: each is whole"
  rm -r "$WORK/got"
}

use_curl() {
  local way="$1, $2" host=$2
  # Few: microsocks leaves Nagle's algorithm on, which takes 40 ms of most objects, with adit or without.
  curl_objects "$way: curl, HTTP/1.1" 20 --http1.1 "http://$host/o/[1-20].svg"
  check_equal "$way: curl, HTTP/1.1: requests" 20 "$(requests "$host" HTTP/1.1 ^/o/)"
  check_equal "$way: curl, HTTP/1.1: connections" 1 "$(connections "$host" HTTP/1.1 ^/o/)"
  curl_objects "$way: curl, 64 at once" 64 --http1.1 --parallel --parallel-immediate --parallel-max 64 \
    "http://$host/o/[1-64].svg"
  check_equal "$way: curl, 64 at once: requests" 64 "$(requests "$host" HTTP/1.1 ^/o/)"
  check_equal "$way: curl, 64 at once: connections" 64 "$(connections "$host" HTTP/1.1 ^/o/)"
  curl_objects "$way: curl, HTTP/2" $OBJECTS --http2 --parallel --parallel-max $OBJECTS \
    "https://$host/o/[1-$OBJECTS].svg"
  check_equal "$way: curl, HTTP/2: requests" $OBJECTS "$(requests "$host" HTTP/2.0 ^/o/)"
  check_equal "$way: curl, HTTP/2: connections" 1 "$(connections "$host" HTTP/2.0 ^/o/)"
  run curl -sS --max-time 10 "http://$host:81/"
  check_status 7 "$way: curl to a closed port"
}

use_wget() {
  local way="$1, $2" host=$2
  forget_requests
  check_command "$way: wget" wget -nv -T 20 -t 1 -p -nH -P "$WORK/wget" "http://$host/"
  check_equal "$way: wget: the page and its objects" "$SUM" "$(cd "$WORK/wget/o" && sha256sum -- * | sha256sum)"
  check_equal "$way: wget: requests" $((OBJECTS + 1)) "$(requests "$host" HTTP/1.1 '^/(o/|index)')"
  rm -r "$WORK/wget"
}

clone() { # clone WHAT URL
  check_command "$1" git clone -q "$2" "$WORK/clone"
  check_equal "$1: HEAD" "$HEAD" "$(git -C "$WORK/clone" rev-parse HEAD)"
  check_command "$1: git fsck" git -C "$WORK/clone" fsck --full --strict
  check_equal "$1: git status" '' "$(git -C "$WORK/clone" status --porcelain)"
  rm -rf "$WORK/clone"
}

use_git() {
  clone "$1, $2: git clone over http" "http://$2/repository.git"
  [ -z "$ssh" ] || clone "$1, $2: git clone over ssh" "ssh://root@$2$WEB/repository.git"
}

# iperf3 stops counting when its control connection says so, whatever of the data is still in the buffers of two relays
# and four kernel sockets. That no byte is lost test_proxy.sh shows with checksums; here, that most were on their way.
use_iperf() {
  local direction
  for direction in '' -R; do
    start_in outside iperf iperf3 -s -1
    wait_for 10 'iperf3 listens' in_ns outside sh -c 'ss -Hltn sport = :5201 | grep -q .'
    # shellcheck disable=SC2086 # no argument, or one
    check_command "$1, $2: iperf3 $direction" iperf3 -c "$2" -n $IPERF_BYTES -J $direction
    check_at_least "$1, $2: iperf3 $direction: bytes received" $((IPERF_BYTES / 5)) \
      "$(python3 -c 'import json, sys; print(int(json.load(sys.stdin)["end"]["sum_received"]["bytes"]))' <<<"$OUT")"
    await iperf
    check_status 0 "$1, $2: iperf3 $direction: the server"
  done
}

use_nc() {
  check_command "$1, $2: nc -z to an open port" nc -z -w 5 "$2" 80
  run nc -z -w 5 "$2" 81
  check_status 1 "$1, $2: nc -z to a closed port"
}

half_close() {
  local answer
  answer=$(printf 'to and fro' | socat -t 10 - "TCP:$2:7") || true
  check_equal "$1, $2: socat, half-close" 'to and fro' "$answer"
}

use_dig() { # use_dig WAY SERVER
  local dig=(dig +short +tries=2 +time=5 "@$2")
  check_equal "$1: dig @$2" 203.0.113.1 "$("${dig[@]}" v4.test A)"
  check_equal "$1: dig @$2 AAAA" 2001:db8::1 "$("${dig[@]}" v6.test AAAA)"
  check_equal "$1: dig @$2 +tcp" 203.0.113.1 "$("${dig[@]}" +tcp far.test A)"
  check_contains "$1: dig @$2: a name that does not exist" NXDOMAIN "$(dig +tries=2 +time=5 "@$2" no.test)"
}

for way in "${WAYS[@]}"; do
  begin_way "$way"
  for host in v4.test v6.test; do
    use_curl "$way" $host
    use_wget "$way" $host
    use_git "$way" $host
    use_iperf "$way" $host
    use_nc "$way" $host
    # microsocks and tinyproxy end both directions when one ends; ssh -D, below, does not.
    [ "$way" != direct ] || half_close "$way" $host
  done
  use_dig "$way" 203.0.113.53
  use_dig "$way" 2001:db8::53
  check_command "$way: a name with both families" curl -sS --fail --max-time 10 -o "$WORK/page" http://far.test/
  check_command "$way: the page" cmp "$WORK/page" "$WEB/index.html"
  end_way "$way"
done

if [ -n "$ssh" ]; then
  begin_way 'ssh -D'
  for host in v4.test v6.test; do
    use_curl 'ssh -D' $host
    use_iperf 'ssh -D' $host
    half_close 'ssh -D' $host
  done
  end_way 'ssh -D'
fi

finish
