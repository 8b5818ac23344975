/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What a running adit answers through its control socket. What the members mean says adit-control(7).
 *
 * Memory may run out at each step of building an answer; cJSON's adding functions then return NULL and take NULL, so a
 * step may go on from one that failed, and what was made is thrown away at the end.
 */
#include "cli/control_answer.h"

#include "cli/control_numbers.h"
#include "relay/flows.h"

#include <adit/device.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BUDGET = 256 << 20 }; /* of a stack that was told none, see adit/stack.h */

/* ---- the process --------------------------------------------------------------------------------------------------- */

static uint64_t monotonic_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void adit_control_process_open(struct adit_control_process *process) {
  process->begun_ms = monotonic_ms();
  process->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

void adit_control_process_close(struct adit_control_process *process) {
  if (process->statm >= 0) close(process->statm);
  process->statm = -1;
}

/* Memory that the process really has, proc(5): the second number, in pages. 0 when it cannot be told. */
static uint64_t resident_bytes(const struct adit_control_process *process) {
  char text[128];
  ssize_t got = process->statm >= 0 ? pread(process->statm, text, sizeof text - 1, 0) : -1;
  if (got <= 0) return 0;
  text[got] = '\0';
  const char *second = strchr(text, ' ');
  return second != NULL ? strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* ---- stat ---------------------------------------------------------------------------------------------------------- */

static bool add_adit(cJSON *answer, const struct adit_control_subject *subject,
                     const struct adit_control_process *process) {
  cJSON *adit = cJSON_AddObjectToObject(answer, "adit");
  return cJSON_AddStringToObject(adit, "version", ADIT_VERSION) != NULL &&
         cJSON_AddStringToObject(adit, "command", subject->options->command->name) != NULL &&
         adit_control_add_number(adit, "pid", (uint64_t)getpid()) &&
         adit_control_add_number(adit, "uptime_ms", monotonic_ms() - process->begun_ms) &&
         adit_control_add_number(adit, "resident_bytes", resident_bytes(process)) &&
         adit_control_add_number(adit, "budget_bytes", subject->budget_bytes != 0 ? subject->budget_bytes : BUDGET);
}

static bool add_device(cJSON *answer, const struct adit_control_subject *subject) {
  static const struct {
    uint32_t bit;
    const char *name;
  } offloads[] = {{ADIT_OFFLOAD_CHECKSUM, "checksum"}, {ADIT_OFFLOAD_TSO4, "tso4"}, {ADIT_OFFLOAD_TSO6, "tso6"},
                  {ADIT_OFFLOAD_ECN, "ecn"},           {ADIT_OFFLOAD_USO, "uso"},   {ADIT_OFFLOAD_BIG_TCP, "big-tcp"}};
  char text[ADIT_ADDRESS_TEXT];
  bool tap = adit_device_link(subject->device) == ADIT_LINK_ETHERNET;
  cJSON *device = cJSON_AddObjectToObject(answer, "device");
  bool done = cJSON_AddStringToObject(device, "name", subject->name) != NULL &&
              cJSON_AddStringToObject(device, "kind", tap ? "tap" : "tun") != NULL &&
              adit_control_add_number(device, "mtu", subject->mtu) &&
              adit_control_add_number(device, "queues", adit_runtime_workers(subject->runtime));
  cJSON *addresses = cJSON_AddArrayToObject(device, "addresses");
  for (size_t i = 0; i < subject->address->count; i++)
    done &= (bool)cJSON_AddItemToArray(addresses,
                                       cJSON_CreateString(adit_cidr_format(subject->address->item[i], text)));
  cJSON *offload = cJSON_AddArrayToObject(device, "offload");
  for (size_t i = 0; i < sizeof offloads / sizeof offloads[0]; i++)
    if (adit_device_offload(subject->device) & offloads[i].bit)
      done &= (bool)cJSON_AddItemToArray(offload, cJSON_CreateString(offloads[i].name));
  return done && addresses != NULL && offload != NULL;
}

static bool add_upstream(cJSON *answer, const struct adit_control_subject *subject) {
  char url[ADIT_URL_HOST + 32];
  if (subject->relay == NULL) return true;
  return cJSON_AddStringToObject(answer, "upstream", adit_upstream_format(&subject->relay->upstream, url)) != NULL;
}

static bool add_workers(cJSON *answer, const struct adit_control_subject *subject) {
  struct adit_stats sum = {0};
  bool done = true, relays = subject->relay != NULL;
  cJSON *workers = cJSON_CreateArray();
  for (unsigned i = 0; i < adit_runtime_workers(subject->runtime); i++) {
    struct adit_stats one = {0};
    adit_worker_stats(adit_runtime_worker(subject->runtime, i), &one);
    adit_worker_stats(adit_runtime_worker(subject->runtime, i), &sum);
    done &= (bool)cJSON_AddItemToArray(workers, adit_control_numbers(&one, relays));
  }
  done &= adit_control_add_number(answer, "dropped", adit_stats_dropped(&sum));
  done &= (bool)cJSON_AddItemToObject(answer, "sum", adit_control_numbers(&sum, relays));
  if (cJSON_AddItemToObject(answer, "workers", workers)) return done;
  cJSON_Delete(workers);
  return false;
}

/* ---- flows --------------------------------------------------------------------------------------------------------- */

static uint64_t bytes_of(const struct adit_tunnel_flow *flow) {
  return flow->bytes_up + flow->bytes_down;
}

/* Those first that have carried most, and of equals the older ones. */
static int compare(const void *left, const void *right) {
  const struct adit_tunnel_flow *a = left, *b = right;
  if (bytes_of(a) != bytes_of(b)) return bytes_of(a) > bytes_of(b) ? -1 : 1;
  return a->age_ms != b->age_ms ? (a->age_ms > b->age_ms ? -1 : 1) : 0;
}

static bool add_flow(cJSON *list, const struct adit_tunnel_flow *flow) {
  char text[ADIT_ADDRESS_TEXT];
  cJSON *row = cJSON_CreateObject();
  bool done = adit_control_add_number(row, "worker", flow->worker) && adit_control_add_number(row, "id", flow->id) &&
              cJSON_AddStringToObject(row, "client", adit_endpoint_format(flow->client, text)) != NULL &&
              cJSON_AddStringToObject(row, "target", adit_endpoint_format(flow->target, text)) != NULL &&
              (flow->name == NULL || cJSON_AddStringToObject(row, "name", flow->name) != NULL) &&
              cJSON_AddBoolToObject(row, "connected", flow->connected) != NULL &&
              adit_control_add_number(row, "bytes_up", flow->bytes_up) &&
              adit_control_add_number(row, "bytes_down", flow->bytes_down) &&
              adit_control_add_number(row, "age_ms", flow->age_ms);
  if (done && cJSON_AddItemToArray(list, row)) return true;
  cJSON_Delete(row);
  return false;
}

/* Returns why not, or NULL. */
static const char *add_flows(cJSON *answer, const struct adit_control_subject *subject, size_t limit) {
  struct adit_relay_flows flows;
  int error = adit_relay_flows_new(subject->runtime, subject->relay != NULL, &flows);
  if (error == -ESHUTDOWN) return "this adit is about to end";
  if (error != 0) return "the connections cannot be listed now";
  if (flows.count > 1) qsort(flows.row, flows.count, sizeof *flows.row, compare);
  bool done = adit_control_add_number(answer, "total", flows.count);
  cJSON *list = cJSON_AddArrayToObject(answer, "flows");
  for (size_t i = 0; done && i < flows.count && i < limit; i++) done = add_flow(list, &flows.row[i]);
  adit_relay_flows_free(&flows);
  return done && list != NULL ? NULL : "out of memory";
}

/* ---- all ----------------------------------------------------------------------------------------------------------- */

static const char *add_stat(cJSON *answer, const struct adit_control_subject *subject,
                            const struct adit_control_process *process) {
  bool done = add_adit(answer, subject, process) && add_device(answer, subject) && add_upstream(answer, subject) &&
              add_workers(answer, subject);
  return done ? NULL : "out of memory";
}

char *adit_control_answer(const struct adit_control_subject *subject, const struct adit_control_process *process,
                          const struct adit_control_request *request, bool *stop) {
  cJSON *answer = cJSON_CreateObject();
  bool begun = cJSON_AddNumberToObject(answer, "version", ADIT_CONTROL_VERSION) != NULL &&
               cJSON_AddTrueToObject(answer, "ok") != NULL;
  const char *refusal = begun ? NULL : "out of memory";
  switch (refusal == NULL ? request->kind : ADIT_CONTROL_KINDS) {
  case ADIT_CONTROL_STAT:
    refusal = add_stat(answer, subject, process);
    break;
  case ADIT_CONTROL_FLOW_LIST:
    refusal = add_flows(answer, subject, request->limit);
    break;
  case ADIT_CONTROL_RELOAD:
    refusal = subject->reload != NULL ? subject->reload(subject->user) : "this command has nothing to reload";
    break;
  case ADIT_CONTROL_STOP:
    *stop = true;
    break;
  case ADIT_CONTROL_KINDS:
    break;
  }
  char *text = refusal != NULL ? adit_control_refusal(refusal) : cJSON_PrintUnformatted(answer);
  cJSON_Delete(answer);
  return text;
}
