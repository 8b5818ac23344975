/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * The server of the control socket: clients that hang, send garbage or too much, take nothing, come in crowds, or are
 * somebody else; and its file: modes, left-over sockets, living ones. The clock is the test's.
 */
#include "cli/control_server.h"
#include "cli/control_socket.h"
#include "support_process.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534 };

/* A server, and what it answers with. */
struct bench {
  char folder[64];
  char path[ADIT_CONTROL_PATH];
  struct adit_control_socket socket;
  struct adit_control_server *server;
  uint64_t now_ms;
  unsigned asked;     /* requests answered */
  size_t answer_size; /* bytes of an answer; 0 = a short one that counts */
};

static char *answer(void *user, const struct adit_control_request *request, bool *stop) {
  struct bench *bench = user;
  char *text = malloc(bench->answer_size + 64);
  assert_non_null(text);
  bench->asked++;
  *stop = request->kind == ADIT_CONTROL_STOP;
  if (bench->answer_size > 0) {
    memset(text, 'x', bench->answer_size);
    text[bench->answer_size] = '\0';
  } else {
    snprintf(text, 64, "%u:%s", bench->asked, adit_control_kind_name(request->kind));
  }
  return text;
}

static void make_folder(struct bench *bench) {
  snprintf(bench->folder, sizeof bench->folder, "/tmp/adit-test-XXXXXX");
  assert_non_null(mkdtemp(bench->folder));
  snprintf(bench->path, sizeof bench->path, "%s/in/a.sock", bench->folder);
}

static void start(struct bench *bench) {
  char reason[ADIT_CONTROL_REASON] = "";
  *bench = (struct bench){.now_ms = 1000};
  make_folder(bench);
  if (adit_control_listen(bench->path, &bench->socket, reason) != 0) fail_msg("listening: %s", reason);
  assert_int_equal(adit_control_server_new(bench->socket.fd, answer, bench, &bench->server), 0);
}

static void remove_folder(const struct bench *bench) {
  char inner[80];
  snprintf(inner, sizeof inner, "%s/in", bench->folder);
  (void)rmdir(inner);
  if (rmdir(bench->folder) != 0) fail_msg("%s: something is left in it: %s", bench->folder, strerror(errno));
}

static void stop(struct bench *bench) {
  adit_control_server_free(bench->server);
  adit_control_unlisten(&bench->socket);
  remove_folder(bench);
}

static bool turn(struct bench *bench) {
  return adit_control_server_turn(bench->server, bench->now_ms);
}

/* As many turns as there is something to do; bounded. */
static void settle(struct bench *bench) {
  for (int i = 0; i < 100; i++) turn(bench);
}

static int client(const struct bench *bench) {
  int fd = adit_control_connect(bench->path, 5000);
  if (fd < 0) fail_msg("connecting: %s", strerror(-fd));
  return fd;
}

static void put(int fd, const char *text) {
  assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What waits to be read, at most `size` - 1 bytes, or "(open)", "(end)". */
static const char *got(int fd, char *text, size_t size) {
  ssize_t length = recv(fd, text, size - 1, MSG_DONTWAIT);
  if (length < 0) {
    snprintf(text, size, "%s", errno == EAGAIN ? "(open)" : strerror(errno));
    return text;
  }
  text[length] = '\0';
  if (length == 0) snprintf(text, size, "(end)");
  return text;
}

#define CHECK_GOT(fd, expected)                                                                                        \
  do {                                                                                                                 \
    char text_[8192];                                                                                                  \
    got((fd), text_, sizeof text_);                                                                                    \
    if (strcmp(text_, (expected)) != 0) fail_msg("expected '%s', found '%s'", (expected), text_);                      \
  } while (0)

#define CHECK_GOT_PART(fd, part)                                                                                       \
  do {                                                                                                                 \
    char text_[8192];                                                                                                  \
    got((fd), text_, sizeof text_);                                                                                    \
    if (strstr(text_, (part)) == NULL) fail_msg("expected to contain '%s', found '%s'", (part), text_);                \
  } while (0)

/* ---- requests and answers ------------------------------------------------------------------------------------------ */

static void test_answers(void **state) {
  (void)state;
  struct bench bench;
  start(&bench);
  assert_int_equal(adit_control_server_timeout(bench.server, bench.now_ms), -1);
  int fd = client(&bench);
  settle(&bench);
  CHECK_GOT(fd, "(open)");
  put(fd, "{\"request\":\"stat\"}\n");
  settle(&bench);
  CHECK_GOT(fd, "1:stat\n");
  put(fd, "{\"request\":\"fl");
  settle(&bench);
  CHECK_GOT(fd, "(open)");
  put(fd, "ows\"}\n{\"request\":\"reload\"}\n{\"request\":\"stat\"}\n{");
  settle(&bench);
  CHECK_GOT(fd, "2:flows\n3:reload\n4:stat\n");
  put(fd, "}\n");
  settle(&bench);
  CHECK_GOT_PART(fd, "\"ok\":false,\"error\":\"request: missing");
  put(fd, "\n{\"request\":\"stat\"}\nunfinished");
  shutdown(fd, SHUT_WR);
  settle(&bench);
  CHECK_GOT_PART(fd, "not JSON");
  CHECK_GOT(fd, "(end)");
  close(fd);
  assert_int_equal(bench.asked, 5);
  assert_int_equal(adit_control_server_timeout(bench.server, bench.now_ms), -1);
  stop(&bench);
}

/* One request a turn for each client, however many it sends at once. */
static void test_one_step_a_turn(void **state) {
  (void)state;
  struct bench bench;
  start(&bench);
  int greedy = client(&bench), modest = client(&bench);
  settle(&bench);
  for (int i = 0; i < 100; i++) put(greedy, "{\"request\":\"stat\"}\n");
  put(modest, "{\"request\":\"flows\"}\n");
  assert_false(turn(&bench));
  assert_int_equal(bench.asked, 2);
  char text[4096];
  got(modest, text, sizeof text);
  if (strstr(text, ":flows\n") == NULL) fail_msg("expected an answer in the first turn, found '%s'", text);
  for (int i = 0; i < 200; i++) {
    turn(&bench);
    got(greedy, text, sizeof text); /* the kernel lets few small answers wait */
  }
  assert_int_equal(bench.asked, 101);
  close(greedy);
  close(modest);
  stop(&bench);
}

static void test_stop(void **state) {
  (void)state;
  struct bench bench;
  start(&bench);
  int fd = client(&bench);
  turn(&bench);
  put(fd, "{\"request\":\"stop\"}\n{\"request\":\"stat\"}\n");
  assert_true(turn(&bench));
  CHECK_GOT(fd, "1:stop\n"); /* before the end */
  assert_int_equal(bench.asked, 1);
  close(fd);
  stop(&bench);
}

/* ---- bounds -------------------------------------------------------------------------------------------------------- */

static void test_long_lines(void **state) {
  (void)state;
  struct bench bench;
  char line[ADIT_CONTROL_LINE + 1];
  start(&bench);
  int fd = client(&bench);
  settle(&bench);
  memset(line, ' ', sizeof line); /* the longest that is taken */
  memcpy(line, "{\"request\":\"stat\"}", 18);
  line[ADIT_CONTROL_LINE - 1] = '\n';
  assert_int_equal(send(fd, line, ADIT_CONTROL_LINE, 0), ADIT_CONTROL_LINE);
  settle(&bench);
  CHECK_GOT(fd, "1:stat\n");
  line[ADIT_CONTROL_LINE - 1] = ' ';
  line[ADIT_CONTROL_LINE] = '\n';
  assert_int_equal(send(fd, line, sizeof line, 0), sizeof line);
  settle(&bench);
  CHECK_GOT_PART(fd, "at most 4096 bytes");
  CHECK_GOT_PART(fd, strerror(ECONNRESET)); /* one byte of it was never read */
  close(fd);
  fd = client(&bench); /* a megabyte, as fast as it goes, without a newline */
  fcntl(fd, F_SETFL, O_NONBLOCK);
  size_t sent = 0;
  for (int i = 0; i < 1000; i++) {
    ssize_t more = send(fd, line, 1000, MSG_NOSIGNAL);
    if (more > 0) sent += (size_t)more;
    turn(&bench);
  }
  assert_in_range(sent, 4096, 1000000);
  CHECK_GOT_PART(fd, "at most 4096 bytes");
  close(fd);
  assert_int_equal(bench.asked, 1);
  stop(&bench);
}

static void test_silent_clients_go(void **state) {
  (void)state;
  struct bench bench;
  start(&bench);
  int silent = client(&bench), dribble = client(&bench), lively = client(&bench);
  for (int i = 0; i < 3; i++) turn(&bench);
  assert_int_equal(adit_control_server_timeout(bench.server, bench.now_ms), ADIT_CONTROL_PATIENCE_MS);
  char text[64];
  for (int second = 1; second <= 12; second++) {
    bench.now_ms += 1000;
    if (second < 10) put(dribble, "{"); /* bytes are no progress */
    if (second % 3 == 0) put(lively, "{\"request\":\"stat\"}\n");
    settle(&bench);
    got(silent, text, sizeof text);
    if (strcmp(text, second < 10 ? "(open)" : "(end)") != 0) fail_msg("silent for %d s: found '%s'", second, text);
  }
  got(dribble, text, sizeof text);
  if (strcmp(text, "(end)") != 0) fail_msg("dribbling: expected '(end)', found '%s'", text);
  CHECK_GOT(lively, "1:stat\n2:stat\n3:stat\n4:stat\n");
  CHECK_GOT(lively, "(open)");
  close(silent);
  close(dribble);
  close(lively);
  stop(&bench);
}

/* Answers that nobody takes: nothing more is read, and after the time-out the client is gone. */
static void test_nobody_takes_the_answer(void **state) {
  (void)state;
  struct bench bench;
  start(&bench);
  bench.answer_size = 4 << 20;
  int fd = client(&bench), other = client(&bench);
  turn(&bench);
  for (int i = 0; i < 20; i++) put(fd, "{\"request\":\"stat\"}\n");
  settle(&bench);
  assert_int_equal(bench.asked, 1);
  bench.answer_size = 0;
  put(other, "{\"request\":\"flows\"}\n");
  settle(&bench);
  CHECK_GOT(other, "2:flows\n"); /* others are served meanwhile */
  bench.now_ms += ADIT_CONTROL_PATIENCE_MS / 2;
  put(other, "{\"request\":\"flows\"}\n");
  settle(&bench);
  bench.now_ms += ADIT_CONTROL_PATIENCE_MS / 2;
  settle(&bench);
  size_t taken = 0;
  static char buffer[65536];
  ssize_t more;
  while ((more = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0) taken += (size_t)more;
  if (more < 0) assert_int_equal(errno, ECONNRESET); /* requests that were never read */
  assert_in_range(taken, 1, (4 << 20) - 1);
  CHECK_GOT(other, "3:flows\n");
  close(fd);
  close(other);
  stop(&bench);
}

/* A long answer arrives whole at a client that is slow, but takes some. */
static void test_long_answer(void **state) {
  (void)state;
  struct bench bench;
  start(&bench);
  bench.answer_size = 3 << 20;
  int fd = client(&bench);
  put(fd, "{\"request\":\"stat\"}\n");
  size_t taken = 0;
  static char buffer[65536];
  for (int i = 0; i < 2000 && taken < bench.answer_size + 1; i++) {
    bench.now_ms += 1000;
    turn(&bench);
    ssize_t more = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (more > 0) taken += (size_t)more;
  }
  assert_int_equal(taken, bench.answer_size + 1);
  close(fd);
  stop(&bench);
}

static void test_too_many(void **state) {
  (void)state;
  struct bench bench;
  int fd[ADIT_CONTROL_CLIENTS + 1];
  start(&bench);
  for (int i = 0; i <= ADIT_CONTROL_CLIENTS; i++) {
    fd[i] = client(&bench);
    settle(&bench);
  }
  CHECK_GOT_PART(fd[ADIT_CONTROL_CLIENTS], "too many clients");
  CHECK_GOT(fd[ADIT_CONTROL_CLIENTS], "(end)");
  close(fd[ADIT_CONTROL_CLIENTS]);
  for (int i = 0; i < ADIT_CONTROL_CLIENTS; i++) CHECK_GOT(fd[i], "(open)");
  close(fd[3]);
  settle(&bench);
  fd[3] = client(&bench);
  settle(&bench);
  put(fd[3], "{\"request\":\"stat\"}\n");
  settle(&bench);
  CHECK_GOT(fd[3], "1:stat\n");
  for (int i = 0; i < ADIT_CONTROL_CLIENTS; i++) close(fd[i]);
  stop(&bench);
}

/* Without fds the listener rests for a second instead of waking the thread all the time. */
static void test_no_fds(void **state) {
  (void)state;
  struct bench bench;
  struct rlimit before, none;
  start(&bench);
  int fd = client(&bench);
  put(fd, "{\"request\":\"stat\"}\n");
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  none = before;
  none.rlim_cur = (rlim_t)fd; /* all below are in use */
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  int used[64];
  size_t count = 0;
  while (count < 64 && (used[count] = dup(0)) >= 0) count++;
  turn(&bench);
  int timeout = adit_control_server_timeout(bench.server, bench.now_ms);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
  while (count > 0) close(used[--count]);
  assert_int_equal(timeout, 1000);
  settle(&bench);
  assert_int_equal(bench.asked, 0);
  bench.now_ms += 1000;
  settle(&bench);
  CHECK_GOT(fd, "1:stat\n");
  close(fd);
  stop(&bench);
}

/* ---- somebody else ------------------------------------------------------------------------------------------------- */

/* Ask as another user, in a child. Returns what it got, or why it could not connect. */
static void ask_as(struct bench *bench, uid_t uid, char *text, size_t size) {
  int pipes[2];
  assert_int_equal(pipe(pipes), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    char answer_text[512];
    if (setresuid(uid, uid, uid) != 0) _exit(1);
    int fd = adit_control_connect(bench->path, 5000);
    if (fd < 0) {
      snprintf(answer_text, sizeof answer_text, "%s", strerror(-fd));
    } else {
      (void)!write(fd, "{\"request\":\"stat\"}\n", 19);
      ssize_t length = read(fd, answer_text, sizeof answer_text - 1);
      answer_text[length > 0 ? length : 0] = '\0';
    }
    _exit(write(pipes[1], answer_text, strlen(answer_text)) < 0);
  }
  close(pipes[1]);
  int status = -1;
  for (int i = 0; i < 5000 && waitpid(child, &status, WNOHANG) == 0; i++) {
    turn(bench);
    usleep(1000);
  }
  assert_int_equal(status, 0);
  ssize_t length = read(pipes[0], text, size - 1);
  text[length > 0 ? length : 0] = '\0';
  close(pipes[0]);
}

static void test_other_users(void **state) {
  (void)state;
  struct bench bench;
  char text[512], inner[80];
  if (geteuid() != 0) {
    print_message("left out: only root can become another user\n");
    skip();
  }
  start(&bench);
  ask_as(&bench, 0, text, sizeof text);
  assert_string_equal(text, "1:stat\n");
  ask_as(&bench, NOBODY, text, sizeof text);
  assert_string_equal(text, strerror(EACCES)); /* by the modes */
  snprintf(inner, sizeof inner, "%s/in", bench.folder);
  assert_int_equal(chmod(bench.folder, 0755) | chmod(inner, 0755) | chmod(bench.path, 0666), 0);
  ask_as(&bench, NOBODY, text, sizeof text); /* modes that somebody has spoilt */
  if (strstr(text, "\"ok\":false,\"error\":\"permission denied") == NULL)
    fail_msg("expected a refusal, found '%s'", text);
  assert_int_equal(bench.asked, 1);
  ask_as(&bench, 0, text, sizeof text);
  assert_string_equal(text, "2:stat\n");
  stop(&bench);
}

/* ---- the file ------------------------------------------------------------------------------------------------------ */

static unsigned mode_of(const char *path) {
  struct stat found;
  if (lstat(path, &found) != 0) fail_msg("%s: %s", path, strerror(errno));
  return (unsigned)found.st_mode & 07777;
}

static bool exists(const char *path) {
  struct stat found;
  return lstat(path, &found) == 0;
}

/* A socket on which nobody listens any more, as after kill -9. */
static void leave_socket(const char *path) {
  struct adit_control_socket left;
  char reason[ADIT_CONTROL_REASON] = "";
  if (adit_control_listen(path, &left, reason) != 0) fail_msg("%s", reason);
  close(left.fd);
}

static void test_modes(void **state) {
  (void)state;
  struct bench bench;
  char inner[80];
  mode_t before = umask(0);
  start(&bench);
  umask(before);
  snprintf(inner, sizeof inner, "%s/in", bench.folder);
  assert_int_equal(mode_of(inner), 0700);
  assert_int_equal(mode_of(bench.path), 0600);
  stop(&bench);
}

static void test_places(void **state) {
  (void)state;
  struct bench bench = {0};
  struct adit_control_socket first, second;
  char reason[ADIT_CONTROL_REASON], path[300];
  make_folder(&bench);
  leave_socket(bench.path);
  assert_true(exists(bench.path));
  assert_int_equal(adit_control_listen(bench.path, &first, reason), 0); /* the left-over one is replaced */
  assert_int_equal(adit_control_listen(bench.path, &second, reason), -EADDRINUSE);
  if (strstr(reason, "an adit that runs listens there") == NULL) fail_msg("found '%s'", reason);
  assert_int_equal(second.fd, -1);
  unlink(bench.path); /* somebody takes its place: it is not ours to remove */
  assert_int_equal(adit_control_listen(bench.path, &second, reason), 0);
  adit_control_unlisten(&first);
  assert_true(exists(bench.path));
  adit_control_unlisten(&second);
  assert_false(exists(bench.path));

  int fd = open(bench.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  assert_int_equal(adit_control_listen(bench.path, &first, reason), -EEXIST);
  assert_true(exists(bench.path)); /* a file of somebody's is left alone */
  close(fd);
  unlink(bench.path);
  snprintf(path, sizeof path, "%s/%0*d.sock", bench.folder, 200, 0);
  assert_int_equal(adit_control_listen(path, &first, reason), -ENAMETOOLONG);
  snprintf(path, sizeof path, "%s/no/folder/a.sock", bench.folder);
  assert_int_equal(adit_control_listen(path, &first, reason), -ENOENT);
  snprintf(path, sizeof path, "%s/open", bench.folder); /* a folder in which others may remove files */
  assert_int_equal(mkdir(path, 0700) | chmod(path, 0777), 0);
  snprintf(path, sizeof path, "%s/open/a.sock", bench.folder);
  assert_int_equal(adit_control_listen(path, &first, reason), -EPERM);
  assert_false(exists(path));
  snprintf(path, sizeof path, "%s/open", bench.folder);
  rmdir(path);
  remove_folder(&bench);
}

struct swept {
  char path[4][300];
  int count;
};

static void note_swept(void *user, const char *path) {
  struct swept *swept = user;
  assert_in_range(swept->count, 0, 3);
  snprintf(swept->path[swept->count++], sizeof swept->path[0], "%s", path);
}

static void test_sweep(void **state) {
  (void)state;
  struct bench bench;
  struct swept swept = {.count = 0};
  char dead[128], other[128], inner[80];
  start(&bench);
  snprintf(inner, sizeof inner, "%s/in", bench.folder);
  snprintf(dead, sizeof dead, "%s/dead.sock", inner);
  snprintf(other, sizeof other, "%s/dead.other", inner);
  leave_socket(dead);
  leave_socket(other);
  assert_int_equal(adit_control_sweep(inner, note_swept, &swept), 1);
  assert_string_equal(swept.path[0], dead);
  assert_int_equal(swept.count, 1);
  assert_false(exists(dead));
  assert_true(exists(other)); /* by its name it is none of ours */
  assert_true(exists(bench.path));
  assert_int_equal(adit_control_sweep(inner, note_swept, &swept), 0);
  unlink(other);
  snprintf(other, sizeof other, "%s/none", bench.folder);
  assert_int_equal(adit_control_sweep(other, note_swept, &swept), 0);
  stop(&bench);
}

static void test_folder(void **state) {
  (void)state;
  char folder[ADIT_CONTROL_PATH];
  static const struct {
    const char *runtime;
    int error;
    const char *folder;
  } cases[] = {
      {NULL, -ENOENT, ""}, {"", -ENOENT, ""}, {"relative", -ENOENT, ""}, {"/run/user/7", 0, "/run/user/7/adit"}};
  if (geteuid() == 0) {
    assert_int_equal(setenv("XDG_RUNTIME_DIR", "/run/user/7", 1), 0);
    assert_int_equal(adit_control_folder(folder), 0);
    assert_string_equal(folder, "/run/adit");
    return;
  }
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    if (cases[i].runtime != NULL)
      setenv("XDG_RUNTIME_DIR", cases[i].runtime, 1);
    else
      unsetenv("XDG_RUNTIME_DIR");
    folder[0] = '\0';
    int error = adit_control_folder(folder);
    if (error != cases[i].error || (error == 0 && strcmp(folder, cases[i].folder) != 0))
      fail_msg("case %zu: expected %d '%s', found %d '%s'", i, cases[i].error, cases[i].folder, error, folder);
  }
}

/* No fd is left by any of these tests. */
static int note_fds(void **state) {
  static unsigned before;
  before = support_open_fds();
  *state = &before;
  return 0;
}

static int check_fds(void **state) {
  const unsigned *before = *state;
  unsigned now = support_open_fds();
  if (now == *before) return 0;
  print_error("expected %u fds, found %u\n", *before, now);
  return -1;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, note_fds, check_fds)

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(test_answers),     CASE(test_one_step_a_turn),
      CASE(test_stop),        CASE(test_long_lines),
      CASE(test_too_many),    CASE(test_silent_clients_go),
      CASE(test_no_fds),      CASE(test_nobody_takes_the_answer),
      CASE(test_long_answer), CASE(test_other_users),
      CASE(test_modes),       CASE(test_places),
      CASE(test_sweep),       CASE(test_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
