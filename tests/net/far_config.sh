# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Parts of configuration files that the servers of several tests have in common. Sourced after lib.sh.
# shellcheck shell=bash

# What nginx needs to run in the foreground, with all its files in $WORK/nginx, which exists.
nginx_main() {
  cat <<NGINX
user root;
daemon off;
pid $WORK/nginx/pid;
error_log $WORK/nginx/error.log;
events { worker_connections 1024; }
NGINX
}

# The same for its block "http".
nginx_paths() {
  cat <<NGINX
  client_body_temp_path $WORK/nginx/body;
  proxy_temp_path $WORK/nginx/proxy;
  fastcgi_temp_path $WORK/nginx/fastcgi;
  uwsgi_temp_path $WORK/nginx/uwsgi;
  scgi_temp_path $WORK/nginx/scgi;
NGINX
}

# dante_config LOG RULE: a SOCKS5 server without authentication at 10.9.0.2 and fd09::2, port 1082, for what RULE says.
dante_config() {
  cat <<DANTE
logoutput: $1
internal: 10.9.0.2 port = 1082
internal: fd09::2 port = 1082
external: far
external: lo
external.rotation: route
socksmethod: none
clientmethod: none
user.privileged: root
user.unprivileged: root
client pass { from: 0/0 to: 0/0 }
socks pass { $2 }
DANTE
}
