#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# adit proxy as the default route of a browser: headless Chromium loads a page of 100 objects from each of four sites,
# over IPv4 and IPv6, with HTTP/1.1 and with HTTP/2; directly, through SOCKS5 with and without password, and through HTTP.
# The browser counts the images that it could show, and nginx what it was asked for. far_web.sh describes the servers.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/far_web.sh"
need chromium
far_web

# One page with the objects of all sites, so that one browser does it all. Its title says how many images of each site
# have the width that they shall have, counted when the page and all that is in it has been loaded.
SITES=(http://v4.test http://v6.test https://v4.test https://v6.test)
{
  printf '<!doctype html>\n<title>not loaded</title>\n'
  for site in "${SITES[@]}"; do
    for ((i = 1; i <= OBJECTS; i++)); do printf '<img src="%s/o/%s.svg" alt="%s">\n' "$site" $i $i; done
  done
  cat <<'HTML'
<script>
  addEventListener("load", () => {
    const shown = new Map();
    for (const image of document.images) {
      const site = new URL(image.src).origin;
      shown.set(site, (shown.get(site) ?? 0) + (image.naturalWidth === Number(image.alt) ? 1 : 0));
    }
    document.title = "shown: " + [...shown].map(([site, number]) => site + "=" + number).join(" ");
  });
</script>
HTML
} >"$WEB/all.html"
expected=shown:
for site in "${SITES[@]}"; do expected+=" $site=$OBJECTS"; done

# The certificate is known to the browser by the hash of its key, nothing else is forgiven.
KEY=$(openssl x509 -in "$CA" -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64)

# browse: a new browser, which knows and keeps nothing, prints the document as it is at the end. It takes addresses that are
# for documentation for a local network, which a page from elsewhere may not load from; but all of these are one site.
browse() {
  rm -rf "$WORK/profile"
  run env HOME="$WORK" chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync --user-data-dir="$WORK/profile" \
    --disable-features=LocalNetworkAccessChecks \
    --ignore-certificate-errors-spki-list="$KEY" --dump-dom http://far.test/all.html
}

for way in "${WAYS[@]}"; do
  begin_way "$way"
  forget_requests
  RUN_SECONDS=40 browse
  check_status 0 "$way: the browser"
  check_equal "$way: images that are shown" "$expected" "$(sed -n 's/.*<title>\(.*\)<\/title>.*/\1/p' <<<"$OUT")"
  for host in v4.test v6.test; do
    check_equal "$way, $host: objects asked for with HTTP/1.1" $OBJECTS "$(requests $host HTTP/1.1 ^/o/)"
    check_equal "$way, $host: objects asked for with HTTP/2" $OBJECTS "$(requests $host HTTP/2.0 ^/o/)"
    check_at_least "$way, $host: connections with HTTP/1.1" 2 "$(connections $host HTTP/1.1 ^/o/)"
    check_equal "$way, $host: connections with HTTP/2" 1 "$(connections $host HTTP/2.0 ^/o/)"
  done
  end_way "$way"
done

finish
