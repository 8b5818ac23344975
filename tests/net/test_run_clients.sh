#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# adit run as an ordinary user, with the programs that people put behind it: curl, wget, dig, git over http, nc, ping.
# Each directly, through SOCKS5 with and without password, and through HTTP. far_web.sh describes the servers.
#
# The user is "nobody", without groups and capabilities. Where root runs this test it becomes that user; otherwise it is
# an ordinary user already, and is itself.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/far_web.sh"
need wget git setpriv

export PATH=/usr/sbin:/usr/bin:/sbin:/bin
NOBODY=65534
if [ "$(awk '{ print $3 }' /proc/self/uid_map)" -gt "$NOBODY" ]; then
  like=(setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups --inh-caps=-all)
  # A /dev/net/tun that everybody may open, as most systems have it, seen by this test alone.
  mount -t tmpfs none /dev/net
  mknod -m 666 /dev/net/tun c 10 200
  "${like[@]}" unshare --user --map-root-user --net true 2>"$WORK/why" || {
    [ "${CI:-}" != true ] || fail "an ordinary user cannot make user namespaces here: $(cat "$WORK/why")"
    skip "NOT SHOWN: adit run as an ordinary user: user namespaces are not allowed here: $(cat "$WORK/why")"
  }
  check_equal 'the user is not root' $NOBODY "$("${like[@]}" id -u)"
  check_match 'the user has no capability' '^CapEff:[[:space:]]*0+$' "$("${like[@]}" grep CapEff /proc/self/status)"
else
  like=()
fi
far_web
# The user's sockets go where this machine's routes lead; they bear no mark.
ip route add 203.0.113.0/24 via 10.9.0.2
ip -6 route add 2001:db8::/32 via fd09::2

chmod 711 "$WORK"
cp "$ADIT" "$WORK/adit"
chmod 755 "$WORK/adit"
chmod 644 "$CA"
mkdir "$WORK/home"
[ ${#like[@]} = 0 ] || chown $NOBODY:$NOBODY "$WORK/home"
export HOME=$WORK/home GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
user() { "${like[@]}" "$@"; }

user git config --global user.name tester
user git config --global user.email tester@far.test
user git init -q -b main "$HOME/source"
user sh -c "head -c 2000000 /dev/urandom >'$HOME/source/random'; seq 1 5000 >'$HOME/source/text'"
user git -C "$HOME/source" add .
user git -C "$HOME/source" commit -q -m 'a commit'
user git clone -q --bare --no-hardlinks "$HOME/source" "$HOME/bare"
user git -C "$HOME/bare" update-server-info
cp -r "$HOME/bare" "$WEB/repository.git"
HEAD=$(user git -C "$HOME/source" rev-parse HEAD)
SUM=$(cd "$WEB/o" && sha256sum -- * | sha256sum)
before=$(links)

# What the user types: each program runs inside, alone.
inside() { run "${like[@]}" "$WORK/adit" run "${way[@]}" -- "$@"; }
good() { # good WHAT COMMAND...
  local what=$1
  shift
  inside "$@"
  check_status 0 "$what"
}

for name in "${WAYS[@]}"; do
  case $name in
    direct) way=() ;;
    socks5) way=(--upstream socks5://10.9.0.2:1080) ;;
    'socks5 with password') way=(--upstream 'socks5://us%40er:p%3Aw%2Fd%401@[fd09::2]:1081') ;;
    http) way=(--upstream http://10.9.0.2:8080) ;;
  esac
  for host in v4.test v6.test; do
    forget_requests
    good "$name: curl http://$host/" curl -sS --fail --max-time 20 -o "$HOME/page" "http://$host/"
    check_command "$name: the page of $host" cmp "$HOME/page" "$WEB/index.html"
    good "$name: curl, HTTP/2, $host" curl -sS --fail --max-time 20 --http2 --cacert "$CA" -w '%{http_version}' \
      -o "$HOME/object" "https://$host/o/9.svg"
    check_equal "$name: curl, HTTP/2, $host: it was" 2 "$OUT"
    check_command "$name: the object of $host" cmp "$HOME/object" "$WEB/o/9.svg"
    good "$name: wget, $host" wget -nv -T 20 -t 1 -p -nH -P "$HOME/wget" "http://$host/"
    check_equal "$name: wget, $host: the page and its objects" "$SUM" \
      "$(cd "$HOME/wget/o" && sha256sum -- * | sha256sum)"
    check_equal "$name: $host: requests that the site saw" $((OBJECTS + 1)) "$(requests $host HTTP/1.1 '^/(o/|index)')"
    good "$name: git clone http://$host/" git clone -q "http://$host/repository.git" "$HOME/clone"
    check_equal "$name: git clone, $host: HEAD" "$HEAD" "$(user git -C "$HOME/clone" rev-parse HEAD)"
    check_command "$name: git clone, $host: fsck" "${like[@]}" git -C "$HOME/clone" fsck --full --strict
    good "$name: nc -z $host 80" nc -z -w 5 $host 80
    inside nc -z -w 5 $host 81
    check_status 1 "$name: nc -z to a closed port of $host"
    inside curl -sS --max-time 10 "http://$host:81/"
    check_status 7 "$name: curl to a closed port of $host"
    user rm -rf "$HOME/wget" "$HOME/clone"
  done
  good "$name: dig" dig +short +tries=1 +time=5 v4.test A
  case $name in
    direct) check_equal "$name: dig" 203.0.113.1 "$OUT" ;;
    *) check_match "$name: dig: an address that stands for the name" '^198\.1[89]\.[0-9.]+$' "$OUT" ;;
  esac
  good "$name: dig +tcp" dig +short +tcp +tries=1 +time=5 v6.test AAAA
  case $name in
    direct) check_equal "$name: dig +tcp" 2001:db8::1 "$OUT" ;;
    *) check_match "$name: dig +tcp: an address that stands for the name" '^fd00:198:18:' "$OUT" ;;
  esac
  good "$name: what is made inside is the user's" touch "$HOME/made"
  check_equal "$name: what is made inside is the user's" "$(user id -u)" "$(user stat -c %u "$HOME/made")"
  user rm "$HOME/made"
  check_equal "$name: nothing is left" "$before" "$(links)"
done

finish
