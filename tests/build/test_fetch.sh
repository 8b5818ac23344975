#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Getting lwIP: cached without network, damaged, absent, from a file: mirror, from a local tree, with good and bad
# patches.
set -eu
. "$(dirname "$0")/lib.sh"

offline=(unshare --net)
[ "$(id -u)" = 0 ] || offline=(unshare --user --map-root-user --net)
"${offline[@]}" true 2>/dev/null || skip "network namespaces cannot be made here"

archive=$(sed -n 's/^set(LWIP_ARCHIVE \(.*\))$/\1/p' "$TOP/third_party/lwip/pin.cmake")
pin=$(sed -n 's/^set(LWIP_SHA256 \(.*\))$/\1/p' "$TOP/third_party/lwip/pin.cmake")
tree=$WORK/tree
cache=$WORK/cache
built=$WORK/build/third_party/lwip/tree
patches=$tree/third_party/lwip/patches
copy_tree "$tree"

# configure [OPTION...]: without network, in a fresh build folder unless it was kept.
configure() { run "${offline[@]}" cmake -G Ninja -S "$tree" -B "$WORK/build" -DADIT_CACHE_DIR="$cache" "$@"; }
fresh() { rm -rf "$WORK/build"; configure "$@"; }

# With network or from the cache of this machine: the archive for what follows.
run cmake -G Ninja -S "$tree" -B "$WORK/first" -DBUILD_TESTING=OFF
check_status "configure as a user does" 0
usual=${XDG_CACHE_HOME:-$HOME/.cache}/adit/$archive
check_equal "checksum of the cached archive" "$pin" "$(sha256sum "$usual" | cut -d' ' -f1)"

# No cache and no network.
fresh
check_status "no cache, no network" "not 0"
check_says "no cache: what is missing" "the source archive is not in the cache and could not be fetched"
check_says "no cache: where it may be put" "put $archive (SHA-256 $pin) into $cache"
check_says "no cache: upstream's git" "https://git.savannah.nongnu.org/git/lwip.git"
check_says "no cache: the option for a local tree" "-DLWIP_SOURCE_DIR="
check_equal "no cache: nothing is left in it" "" "$(ls "$cache")"

# A cache, no network.
mkdir -p "$cache"
cp "$usual" "$cache/"
fresh
check_status "cached, no network" 0
check_says "cached: unpacked" "unpacked from $cache/$archive"
[ -f "$built/src/core/tcp.c" ] || fail "$built/src/core/tcp.c is not there"
configure
check_status "configured again" 0
case $OUT in *"unpacked from"*) fail "unpacked again although nothing changed"$'\n'"$OUT" ;; esac

# A cached archive with one byte changed.
printf 'X' | dd of="$cache/$archive" bs=1 seek=5000 conv=notrunc status=none
fresh
check_status "damaged archive" "not 0"
check_says "damaged: why" "the cached archive has the wrong checksum"
check_says "damaged: the expected sum" "expected $pin"
check_says "damaged: what to do" "Remove that file and configure again"
configure
check_status "damaged archive, again" "not 0"
cp "$usual" "$cache/"

# Patches: a good one is applied, one that changes or goes away is noticed by the next build, a bad one stops.
cat >"$patches/9000-marker.patch" <<'PATCH'
A marker, for the test of the build.
--- a/src/core/def.c
+++ b/src/core/def.c
@@ -1,2 +1,3 @@
+/* marker of the test */
 /**
  * @file
PATCH
fresh
check_status "a patch that applies" 0
check_equal "the patched file's first line" "/* marker of the test */" "$(head -n 1 "$built/src/core/def.c")"
sed -i 's/marker of the test/another marker/' "$patches/9000-marker.patch"
run "${offline[@]}" ninja -C "$WORK/build" build.ninja
check_status "the build after a patch changed" 0
check_equal "the first line after it changed" "/* another marker */" "$(head -n 1 "$built/src/core/def.c")"

cat >"$patches/9001-moved.patch" <<'PATCH'
--- a/src/core/def.c
+++ b/src/core/def.c
@@ -10,3 +10,3 @@
 this line is nowhere in lwIP
-nor this one
+and so this cannot be put anywhere
 nor that
PATCH
configure
check_status "a patch that does not apply" "not 0"
check_says "bad patch: its name" "9001-moved.patch does not apply to"
check_says "bad patch: what patch says" "FAILED at 10"
check_says "bad patch: what to do" "Make the patch anew"
[ ! -e "$built" ] || fail "a tree that is not fully patched was left behind"
configure
check_status "a patch that does not apply, again" "not 0"

# Context that only nearly fits does not count as fitting.
cat >"$patches/9001-moved.patch" <<'PATCH'
--- a/src/core/def.c
+++ b/src/core/def.c
@@ -1,5 +1,6 @@
 /* another marker */
 /**
- * @file
+ * @file, patched
+ * twice
  * Common functions used throughout the stack.
- not what is there
PATCH
sed -i 's/^- not what is there$/ not what is there/' "$patches/9001-moved.patch"
configure
check_status "a patch that would need fuzz" "not 0"
check_says "fuzz: its name" "9001-moved.patch does not apply to"
rm "$patches/9001-moved.patch"

touch "$patches/marker.patch"
configure
check_status "a patch without number" "not 0"
check_says "no number: what to do" "is not named NNNN-name.patch"
rm "$patches/marker.patch" "$patches/9000-marker.patch"
touch "$WORK/before"
configure
check_status "all of them taken away" 0
[ "$built/src/core/def.c" -nt "$WORK/before" ] || fail "the build cannot see that a patch was taken away: def.c is old"
check_equal "the first line without patches" "/**" "$(head -n 1 "$built/src/core/def.c")"

# A local tree: copied, never changed.
mkdir "$WORK/local"
tar -C "$WORK/local" --strip-components=1 -xf "$usual"
sums() { (cd "$WORK/local" && find . -type f -exec sha256sum {} + | sort | sha256sum); }
before=$(sums)
rm "$cache/$archive"
cat >"$patches/9000-marker.patch" <<'PATCH'
--- a/src/core/def.c
+++ b/src/core/def.c
@@ -1,2 +1,3 @@
+/* marker of the test */
 /**
  * @file
PATCH
fresh -DLWIP_SOURCE_DIR="$WORK/local"
check_status "a local tree, no cache, no network" 0
check_equal "local: the copy is patched" "/* marker of the test */" "$(head -n 1 "$built/src/core/def.c")"
check_equal "local: the tree itself is as it was" "$before" "$(sums)"
fresh -DLWIP_SOURCE_DIR="$WORK/nothing"
check_status "a local tree that is not there" "not 0"
check_says "no local tree: which" "LWIP_SOURCE_DIR=$WORK/nothing holds no lwIP"
rm "$patches/9000-marker.patch"

# Mirrors as apt names them, with an apt-get that names ours: the first lacks the archive, the second has another file
# under its name, the third is right.
mkdir -p "$WORK/bin" "$WORK/empty" "$WORK/wrong/pool/main/l/lwip" "$WORK/right/pool/main/l/lwip"
echo "not an archive" >"$WORK/wrong/pool/main/l/lwip/$archive"
cp "$usual" "$WORK/right/pool/main/l/lwip/"
printf '#!/bin/sh\ncat "%s/mirrors"\n' "$WORK" >"$WORK/bin/apt-get"
chmod +x "$WORK/bin/apt-get"
printf 'file:%s/empty/\nfile://%s/wrong/\n' "$WORK" "$WORK" >"$WORK/mirrors"
rm -rf "$WORK/build"
PATH=$WORK/bin:$PATH configure
check_status "two mirrors, neither good" "not 0"
check_says "mirrors: the first" "$WORK/empty/pool/main/l/lwip/$archive no such file"
check_says "mirrors: the second" "$WORK/wrong/pool/main/l/lwip/$archive wrong checksum"
printf 'copy:%s/right/\n' "$WORK" >>"$WORK/mirrors"
rm -rf "$WORK/build"
PATH=$WORK/bin:$PATH configure
check_status "a third mirror" 0
check_equal "mirrors: what is in the cache" "$pin" "$(sha256sum "$cache/$archive" | cut -d' ' -f1)"
check_equal "mirrors: nothing else is in it" "$archive" "$(ls "$cache")"
finish
