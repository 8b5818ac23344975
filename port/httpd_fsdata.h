/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * lwIP's httpd is built with an empty table of files: all content comes from src/stack/httpd.c.
 */
#define FS_ROOT ((const struct fsdata_file *)NULL)
#define FS_NUMFILES 0
