# SPDX-License-Identifier: BSD-3-Clause
# Which lwIP is built. To move to another version change all of these, then look through patches/ and port/.
set(LWIP_VERSION 2.2.1)
set(LWIP_ARCHIVE lwip_2.2.1+dfsg1.orig.tar.xz)
set(LWIP_SHA256 83729c274c499d3348e9fbbe043a3113f3fa8953e7efddc7c21c7fcbb1f2b7b1)
set(LWIP_POOL pool/main/l/lwip pool/universe/l/lwip) # where Debian and where Ubuntu keep it, below a mirror's root
set(LWIP_GIT https://git.savannah.nongnu.org/git/lwip.git)
set(LWIP_GIT_TAG STABLE-2_2_1_RELEASE)
