/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What is not relayed yet is refused. Each part goes when the file
 * comes that does it; src/relay/CMakeLists.txt says which are still needed.
 */
#include "relay/state.h"

#include <errno.h>

