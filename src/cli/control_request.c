/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What is asked through a control socket.
 *
 * Members that are not known are passed over, so that a newer client may say more than an older adit understands; what
 * is known has to be right.
 */
#include "cli/control_request.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [ADIT_CONTROL_STAT] = "stat",
    [ADIT_CONTROL_FLOW_LIST] = "flows",
    [ADIT_CONTROL_RELOAD] = "reload",
    [ADIT_CONTROL_STOP] = "stop",
};
static_assert(sizeof names / sizeof names[0] == ADIT_CONTROL_KINDS, "a name each");

const char *adit_control_kind_name(enum adit_control_kind kind) {
  return names[kind];
}

/* What is wrong, and where the reason goes. */
struct reason {
  char *text;
  size_t size;
};

static int wrong(struct reason reason, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int wrong(struct reason reason, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason.text, reason.size, format, arguments);
  va_end(arguments);
  return -EINVAL;
}

static int read_version(const cJSON *object, struct reason reason) {
  const cJSON *version = cJSON_GetObjectItemCaseSensitive(object, "version");
  if (version == NULL) return 0;
  if (!cJSON_IsNumber(version)) return wrong(reason, "version: not a number; this adit speaks version 1");
  if (version->valueint != ADIT_CONTROL_VERSION)
    return wrong(reason, "version: this adit speaks version %d only", ADIT_CONTROL_VERSION);
  return 0;
}

static int read_kind(const cJSON *object, struct adit_control_request *request, struct reason reason) {
  static const char known[] = "give \"stat\", \"flows\", \"reload\" or \"stop\"";
  const cJSON *name = cJSON_GetObjectItemCaseSensitive(object, "request");
  if (!cJSON_IsString(name)) return wrong(reason, "request: missing, or not a string; %s", known);
  for (unsigned kind = 0; kind < ADIT_CONTROL_KINDS; kind++) {
    if (strcmp(name->valuestring, names[kind]) != 0) continue;
    request->kind = (enum adit_control_kind)kind;
    return 0;
  }
  return wrong(reason, "request: unknown; %s", known);
}

static int read_limit(const cJSON *object, struct adit_control_request *request, struct reason reason) {
  const cJSON *limit = cJSON_GetObjectItemCaseSensitive(object, "limit");
  if (limit == NULL) return 0;
  double value = cJSON_IsNumber(limit) ? limit->valuedouble : -1;
  if (!(value >= 0 && value <= ADIT_CONTROL_FLOWS_MAX) || value != (double)(size_t)value)
    return wrong(reason, "limit: not a whole number from 0 to %d", ADIT_CONTROL_FLOWS_MAX);
  request->limit = (size_t)value;
  return 0;
}

/* Nothing but white space up to the end. */
static bool is_blank(const char *text, const char *end) {
  while (text < end && (*text == ' ' || *text == '\t' || *text == '\r')) text++;
  return text == end;
}

int adit_control_request_parse(const char *line, size_t length, struct adit_control_request *request, char *text,
                               size_t size) {
  struct reason reason = {.text = text, .size = size};
  struct adit_control_request made = {.limit = ADIT_CONTROL_FLOWS};
  const char *end = NULL;
  text[0] = '\0';
  cJSON *object = cJSON_ParseWithLengthOpts(line, length, &end, false);
  if (object == NULL || !is_blank(end, line + length)) {
    cJSON_Delete(object);
    return wrong(reason, "not JSON; write one object a line, such as {\"request\":\"stat\"}");
  }
  int error = cJSON_IsObject(object) ? 0
                                     : wrong(reason, "not an object; write one a line, such as {\"request\":\"stat\"}");
  if (error == 0) error = read_version(object, reason);
  if (error == 0) error = read_kind(object, &made, reason);
  if (error == 0) error = read_limit(object, &made, reason);
  cJSON_Delete(object);
  if (error == 0) *request = made;
  return error;
}

char *adit_control_refusal(const char *reason) {
  char *text = NULL;
  cJSON *object = cJSON_CreateObject();
  if (cJSON_AddNumberToObject(object, "version", ADIT_CONTROL_VERSION) != NULL &&
      cJSON_AddFalseToObject(object, "ok") != NULL && cJSON_AddStringToObject(object, "error", reason) != NULL)
    text = cJSON_PrintUnformatted(object);
  cJSON_Delete(object);
  return text;
}
