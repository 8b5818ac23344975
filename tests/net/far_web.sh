# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# A small internet with a web site, for clients that are real programs: test_proxy_clients.sh, test_proxy_browser.sh.
#
# A test sources it after lib.sh and calls far_web. Then the namespace "outside", behind a veth pair, has
#
#   v4.test v6.test far.test  203.0.113.1, 2001:db8::1, and both; dnsmasq on 203.0.113.53 and 2001:db8::53 knows them
#   ports 80 and 443          nginx: a page of 100 objects, HTTP/1.1, and HTTP/2 with a certificate of this test ($CA)
#   ports 1080 and 1081       microsocks on 10.9.0.2 and fd09::2, open, and with user and password
#   port 8080                 tinyproxy on 10.9.0.2
#
# This namespace is the client's machine. Its routing table has no way to v4.test, v6.test and the name server: what
# gets there went through adit, whose own sockets are told by their mark and have a table with the way.
# shellcheck shell=bash
. "$(dirname "$0")/far_config.sh"

OBJECTS=100
WEB=$WORK/web              # what nginx serves
CA=$WORK/certificate.pem   # the site's certificate, its own authority
ACCESS=$WORK/nginx/access  # one line a request: host protocol status path connection

# The upstreams that every client is sent through, and what adit is told of each. These proxies carry no datagrams, so
# questions for the name server go over TCP.
WAYS=(direct socks5 'socks5 with password' http)
way_arguments() {
  case $1 in
    direct) echo '--upstream direct://' ;;
    socks5) echo '--upstream socks5://10.9.0.2:1080 --dns forward:203.0.113.53' ;;
    'socks5 with password')
      echo '--upstream socks5://us%40er:p%3Aw%2Fd%401@[fd09::2]:1081 --dns forward:203.0.113.53' ;;
    http) echo '--upstream http://10.9.0.2:8080 --dns forward:203.0.113.53' ;;
    'ssh -D') echo '--upstream socks5://10.9.0.2:1085 --dns forward:203.0.113.53' ;; # test_proxy_clients.sh starts it
    *) fail "there is no way '$1'" ;;
  esac
}

far_links() {
  local i mark=0xad10000 # that of adit proxy --route
  netns outside
  ip link add near type veth peer name far netns outside
  # No link-local addresses: they would become ready in the middle of a test, and a browser that sees a new address says
  # that the network has changed and gives up what it was loading.
  ip link set near addrgenmode none
  in_ns outside ip link set far addrgenmode none
  ip addr add 10.9.0.1/24 dev near
  ip -6 addr add fd09::1/64 dev near nodad
  ip link set near up
  in_ns outside ip addr add 10.9.0.2/24 dev far
  in_ns outside ip -6 addr add fd09::2/64 dev far nodad
  in_ns outside ip link set far up
  for i in 1 53; do
    in_ns outside ip addr add 203.0.113.$i/32 dev lo
    in_ns outside ip -6 addr add 2001:db8::$i/128 dev lo nodad
  done
  ip rule add priority 100 fwmark $mark lookup 77
  ip -6 rule add priority 100 fwmark $mark lookup 77
  ip route add default via 10.9.0.2 table 77
  ip -6 route add default via fd09::2 table 77
}

# The site: images of different lengths, each with a width that only it has, and the page that shows them all.
far_pages() {
  mkdir -p "$WEB/o" "$WORK/nginx"
  chmod 755 "$WORK" "$WEB" "$WEB/o"
  python3 - "$WEB" $OBJECTS <<'PYTHON'
import pathlib, random, sys
web, objects = pathlib.Path(sys.argv[1]), int(sys.argv[2])
source = random.Random(3)
tags = ""
for i in range(1, objects + 1):
    noise = source.randbytes(source.choice((10, 700, 3000, 20000))).hex()
    (web / f"o/{i}.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{i}" height="1"><!-- {noise} --></svg>\n')
    tags += f'<img src="o/{i}.svg">\n'
(web / "index.html").write_text(f"<!doctype html>\n<title>objects</title>\n{tags}")
PYTHON
}

far_servers() {
  local port
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=far.test \
    -addext subjectAltName=DNS:v4.test,DNS:v6.test,DNS:far.test -keyout "$WORK/key.pem" -out "$CA" 2>"$WORK/openssl.err"
  cat >"$WORK/nginx.conf" <<NGINX
$(nginx_main)
http {
  log_format line '\$host \$server_protocol \$status \$uri \$connection';
  access_log $ACCESS line;
  types { text/html html; image/svg+xml svg; }
$(nginx_paths)
  server {
    listen [::]:80 ipv6only=off;
    listen [::]:443 ssl http2 ipv6only=off;
    ssl_certificate $CA;
    ssl_certificate_key $WORK/key.pem;
    root $WEB;
  }
}
NGINX
  printf '%s\n' 'Port 8080' 'Listen 10.9.0.2' 'Timeout 60' 'MaxClients 400' 'Allow 10.9.0.0/24' >"$WORK/tinyproxy.conf"
  start_in outside nginx nginx -c "$WORK/nginx.conf"
  start_in outside names dnsmasq --keep-in-foreground --conf-file=/dev/null --no-hosts --no-resolv --bind-interfaces \
    --listen-address=203.0.113.53,2001:db8::53 --user=root --pid-file= --local=/test/ \
    --host-record=v4.test,203.0.113.1 --host-record=v6.test,2001:db8::1 --host-record=far.test,203.0.113.1,2001:db8::1
  start_in outside socks microsocks -i :: -p 1080
  start_in outside guarded microsocks -i :: -p 1081 -u 'us@er' -P 'p:w/d@1' # in a URL they have to be escaped
  start_in outside tiny tinyproxy -d -c "$WORK/tinyproxy.conf"
  for port in 80 443 1080 1081 8080; do
    wait_for 10 "port $port outside" in_ns outside nc -z 10.9.0.2 $port
  done
  wait_for 10 'names outside' in_ns outside dig +tries=1 +time=1 @203.0.113.53 far.test
}

far_web() {
  need nginx openssl dnsmasq dig microsocks tinyproxy nc python3 curl
  far_links
  far_pages
  echo 'nameserver 203.0.113.53' >"$WORK/resolv.conf" # before the servers start: the proxies ask there too
  chmod 644 "$WORK/resolv.conf"
  mount --bind "$WORK/resolv.conf" "$(readlink -f /etc/resolv.conf)"
  far_servers
  run curl -gsS --max-time 5 http://203.0.113.1/
  check_status 7 'without adit there is no way out over IPv4'
  run curl -gsS --max-time 5 'http://[2001:db8::1]/'
  check_status 7 'without adit there is no way out over IPv6'
}

# begin_way WAY: adit is the default route. Ends with end_way.
begin_way() {
  local arguments
  read -ra arguments <<<"$(way_arguments "$1")"
  start proxy "$ADIT" proxy --dev adit0 --route default "${arguments[@]}"
  wait_for 10 'adit proxy is ready' file_has "$(out_of proxy)" '^Ready'
}

end_way() {
  stop proxy
  check_status 0 "$1: ends in order"
  check_lacks "$1: nothing was found by a sanitizer" Sanitizer "$ERR"
  check_match "$1: the summary counts connections" 'connections: [1-9][0-9]* begun' "$OUT"
}

# Of what was asked for since forget_requests, by HOST, PROTOCOL and REGEX of the path: how many different paths were
# answered with 200, and how many connections they came on.
requests() { different 4 "$@"; }
connections() { different 5 "$@"; }
different() {
  awk -v field="$1" -v host="$2" -v protocol="$3" -v path="$4" \
    '$1 == host && $2 == protocol && $3 == 200 && $4 ~ path && !seen[$field]++ { n++ } END { print n + 0 }' "$ACCESS"
}
forget_requests() { : >"$ACCESS"; }
