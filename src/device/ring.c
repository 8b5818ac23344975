/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * Many reads or writes of one fd with one system call (io_uring(7), by liburing).
 *
 * A TUN takes one system call a packet, and where entering the kernel is dear, that is most of what a small packet
 * costs. So when several packets are expected, as many reads are queued and handed over together; and small packets
 * that go out are copied, which is cheaper than a call of their own, and wait for each other. No read or write may wait
 * (RWF_NOWAIT): the kernel does them one after the other within the call and all are done when it returns. Reads are
 * handed out in their order, which is that of the packets. A read that found nothing may have others behind it that
 * found something, when a packet came just then.
 *
 * What is copied is up to 2 KiB: for 1,400 bytes that takes 27 ns in the cache, where a system call of its own
 * takes 1.5 us more than a part of one (docs/PERFORMANCE.md). Large packets are never copied.
 *
 * The ring is allowed to do two things, readv and writev (IORING_REGISTER_RESTRICTIONS), before it is enabled. So it is
 * no way around the sandbox's filter, which sees only that the ring is entered. The fd is not registered with it,
 * although that would be a little faster: the kernel takes a ring down some time after its process is gone, and the
 * device would last as long.
 */
#include "device/ring.h"

#include <errno.h>

#ifdef ADIT_HAVE_URING
#include <assert.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "device/fd.h"

enum {
  READS = 32,   /* at a time: of more the 33rd saves a thirtieth of a system call */
  WRITES = 16,  /* as many wait: with more, the first would wait longer than it has to */
  SMALL = 2048, /* bytes, head included: what is copied */
  TRIALS = 5,   /* the shortest counts: whatever else the machine does makes them longer */
  PIECES = 3    /* head, packet, and one byte more (fd.c) */
};

struct one_read {
  struct adit_buffer *buffer; /* owned; NULL once handed out */
  ssize_t got;
  struct iovec iov[PIECES];
  uint8_t head[ADIT_FD_HEADER];
  uint8_t excess;
};

struct one_write {
  struct iovec iov;
  uint8_t bytes[SMALL];
};

struct adit_ring {
  struct io_uring uring;
  int result[READS]; /* of what was handed over last, by number; NOT_DONE */
  const struct adit_device *device;
  size_t head_length;
  unsigned expected; /* packets of this burst that are still to be read */
  unsigned next;     /* of the reads that are done, the first one not handed out */
  unsigned done;
  bool dry;    /* the last one found nothing */
  bool broken; /* the kernel did not take all that it was given, and may find it later: never used again */
  struct one_read read[READS];
  unsigned writes; /* that wait */
  unsigned lost;   /* packets that were not written since the last flush */
  int error;       /* why the last of them was not */
  struct one_write write[WRITES];
};

static_assert((int)WRITES <= (int)READS, "the ring has room for either");

/* The kernel did not come to it. */
#define NOT_DONE (-ECANCELED)

typedef void prepare_fn(struct io_uring_sqe *entry, int fd, const struct iovec *iov, unsigned count, __u64 offset);

/* Queue a read or a write; `prepare` says which. */
static void queue(struct adit_ring *ring, prepare_fn *prepare, int fd, const struct iovec *iov, unsigned count,
                  unsigned number) {
  struct io_uring_sqe *entry = io_uring_get_sqe(&ring->uring);
  prepare(entry, fd, iov, count, 0);
  entry->rw_flags = RWF_NOWAIT;
  io_uring_sqe_set_data64(entry, number);
}

/* Hand over the `count` that are queued, and note what became of each. */
static void submit(struct adit_ring *ring, unsigned count) {
  for (unsigned i = 0; i < count; i++) ring->result[i] = NOT_DONE;
  int submitted = io_uring_submit_and_wait(&ring->uring, count);
  if (submitted != (int)count) ring->broken = true;
  unsigned ended = 0;
  while (submitted > 0 && ended < (unsigned)submitted) {
    struct io_uring_cqe *entry;
    int error = io_uring_wait_cqe(&ring->uring, &entry); /* it is there, as a rule */
    if (error == -EINTR) continue;
    if (error != 0) {
      ring->broken = true;
      break;
    }
    ring->result[io_uring_cqe_get_data64(entry)] = entry->res;
    io_uring_cqe_seen(&ring->uring, entry);
    ended++;
  }
}

/* ---- reads ---- */

/* Go past reads that found nothing. Returns whether there is another one. */
static bool has_next(struct adit_ring *ring) {
  while (ring->next < ring->done && ring->read[ring->next].buffer == NULL) ring->next++;
  return ring->next < ring->done;
}

void adit_ring_expect(struct adit_ring *ring, unsigned packets) {
  unsigned waiting = has_next(ring) ? ring->done - ring->next : 0;
  ring->expected = packets > waiting ? packets - waiting : 0;
  ring->dry = false; /* that was when the last burst ended */
}

/* Read as many packets as are expected. Returns 0 or -ENOBUFS. */
static int fetch(struct adit_ring *ring, struct adit_pool *pool) {
  unsigned most = ring->expected < READS ? ring->expected : READS;
  unsigned count;
  for (count = 0; count < most; count++) {
    struct one_read *read = &ring->read[count];
    read->buffer = adit_device_buffer(ring->device, pool);
    if (read->buffer == NULL) break;
    read->iov[0] = (struct iovec){read->head, ring->head_length};
    read->iov[1] = (struct iovec){read->buffer->data, read->buffer->capacity};
    read->iov[2] = (struct iovec){&read->excess, sizeof read->excess};
    queue(ring, io_uring_prep_readv, ring->device->fd, read->iov, PIECES, count);
  }
  if (count == 0) return -ENOBUFS;
  ring->expected -= count;
  ring->next = 0;
  ring->done = count;
  submit(ring, count);
  ring->dry = ring->result[count - 1] == -EAGAIN;
  /* Buffers that nothing came into go back in the order that they had: last in, first out. */
  for (unsigned i = count; i > 0; i--) {
    struct one_read *read = &ring->read[i - 1];
    read->got = ring->result[i - 1];
    if (read->got != -EAGAIN && read->got != NOT_DONE) continue;
    adit_buffer_unref(read->buffer);
    read->buffer = NULL;
  }
  return 0;
}

int adit_ring_take(struct adit_ring *ring, struct adit_pool *pool, struct adit_ring_read *read) {
  if (!has_next(ring) && !ring->dry && !ring->broken && ring->expected > 1) {
    int error = fetch(ring, pool);
    if (error != 0) return error;
  }
  if (!has_next(ring)) return ring->dry ? -EAGAIN : 0;
  struct one_read *first = &ring->read[ring->next++];
  *read = (struct adit_ring_read){.buffer = first->buffer, .head = first->head, .got = first->got};
  first->buffer = NULL;
  return 1;
}

/* ---- writes ---- */

static void write_alone(struct adit_ring *ring, const struct one_write *write) {
  if (writev(ring->device->fd, &write->iov, 1) >= 0) return;
  ring->lost++;
  ring->error = -errno;
}

/* Write what waits: one by itself, for which the ring would be a detour, or with it. */
static void write_out(struct adit_ring *ring) {
  unsigned count = ring->writes;
  ring->writes = 0;
  bool together = count > 1 && !ring->broken;
  if (together) {
    for (unsigned i = 0; i < count; i++) queue(ring, io_uring_prep_writev, ring->device->fd, &ring->write[i].iov, 1, i);
    submit(ring, count);
  }
  for (unsigned i = 0; i < count; i++) {
    if (!together || ring->result[i] == NOT_DONE) {
      write_alone(ring, &ring->write[i]);
    } else if (ring->result[i] < 0) {
      ring->lost++;
      ring->error = ring->result[i];
    }
  }
}

bool adit_ring_put(struct adit_ring *ring, const struct iovec *pieces, unsigned count, size_t length) {
  if (length > SMALL || ring->writes == WRITES) write_out(ring);
  if (length > SMALL) return false;
  struct one_write *write = &ring->write[ring->writes++];
  uint8_t *at = write->bytes;
  for (unsigned i = 0; i < count; i++) {
    memcpy(at, pieces[i].iov_base, pieces[i].iov_len);
    at += pieces[i].iov_len;
  }
  write->iov = (struct iovec){write->bytes, length};
  return true;
}

unsigned adit_ring_flush(struct adit_ring *ring, int *error) {
  write_out(ring);
  unsigned lost = ring->lost;
  *error = ring->error;
  ring->lost = 0;
  ring->error = 0;
  return lost;
}

/* ---- whether it pays ---- */

static uint64_t clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* READS reads of an fd that has nothing to read: all that a read costs but for the packet. In ns. */
static uint64_t time_alone(int fd, const struct iovec *iov) {
  uint64_t begin = clock_ns();
  for (unsigned i = 0; i < READS; i++) {
    ssize_t got = readv(fd, iov, 1);
    (void)got;
  }
  return clock_ns() - begin;
}

static uint64_t time_together(struct adit_ring *ring, int fd, const struct iovec *iov) {
  uint64_t begin = clock_ns();
  for (unsigned i = 0; i < READS; i++) queue(ring, io_uring_prep_readv, fd, iov, 1, i);
  submit(ring, READS);
  return clock_ns() - begin;
}

/* Three quarters: a read does more than to fail, and what it does is the same either way. */
static bool pays(struct adit_ring *ring) {
  uint64_t count;
  const struct iovec iov = {&count, sizeof count};
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) return false;
  uint64_t alone = UINT64_MAX;
  uint64_t together = UINT64_MAX;
  for (unsigned i = 0; i < TRIALS; i++) {
    uint64_t one = time_alone(fd, &iov);
    uint64_t other = time_together(ring, fd, &iov);
    if (one < alone) alone = one;
    if (other < together) together = other;
  }
  close(fd);
  return together < alone / 4 * 3;
}

/* ---- its life ---- */

/* liburing has functions for these two, but its shared library does not show them in versions before 2.4. */
static int ask(const struct io_uring *uring, unsigned what, const void *argument, size_t count) {
  return syscall(SYS_io_uring_register, uring->ring_fd, what, argument, count) < 0 ? -errno : 0;
}

static int restrict_ring(const struct io_uring *uring) {
  const struct io_uring_restriction only[] = {
      {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV},
      {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV},
      {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = 0},
  };
  int error = ask(uring, IORING_REGISTER_RESTRICTIONS, only, sizeof only / sizeof only[0]);
  return error != 0 ? error : ask(uring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

/* A read of no bytes takes no packet, and tells whether the kernel can read such an fd without waiting. */
static int try_device(struct adit_ring *ring) {
  queue(ring, io_uring_prep_readv, ring->device->fd, NULL, 0, 0);
  submit(ring, 1);
  if (ring->broken) return -EIO;
  return ring->result[0] == -EOPNOTSUPP || ring->result[0] == -EINVAL ? -EOPNOTSUPP : 0;
}

int adit_ring_new(const struct adit_device *device, size_t head_length, enum adit_gather when,
                  struct adit_ring **ring) {
  struct adit_ring *made = calloc(1, sizeof *made);
  if (made == NULL) return -ENOMEM;
  made->device = device;
  made->head_length = head_length;
  int result = io_uring_queue_init(READS, &made->uring, IORING_SETUP_R_DISABLED);
  if (result != 0) {
    free(made);
    return result == -EINVAL ? -ENOSYS : result;
  }
  result = restrict_ring(&made->uring);
  if (result == 0) result = try_device(made);
  if (result == 0) result = when == ADIT_GATHER_ALWAYS || pays(made);
  if (result == 1 && !made->broken) {
    *ring = made;
    return 1;
  }
  adit_ring_free(made);
  return result == 1 ? -EIO : result;
}

void adit_ring_free(struct adit_ring *ring) {
  if (ring == NULL) return;
  write_out(ring);
  io_uring_queue_exit(&ring->uring);
  for (unsigned i = 0; i < READS; i++) adit_buffer_unref(ring->read[i].buffer);
  free(ring);
}

#else
int adit_ring_new(const struct adit_device *device, size_t head_length, enum adit_gather when,
                  struct adit_ring **ring) {
  (void)device;
  (void)head_length;
  (void)when;
  (void)ring;
  return -ENOSYS;
}

/* There is none that the others could be called for. */
void adit_ring_free(struct adit_ring *ring) {
  (void)ring;
}

void adit_ring_expect(struct adit_ring *ring, unsigned packets) {
  (void)ring;
  (void)packets;
}

int adit_ring_take(struct adit_ring *ring, struct adit_pool *pool, struct adit_ring_read *read) {
  (void)ring;
  (void)pool;
  (void)read;
  return 0;
}

bool adit_ring_put(struct adit_ring *ring, const struct iovec *pieces, unsigned count, size_t length) {
  (void)ring;
  (void)pieces;
  (void)count;
  (void)length;
  return false;
}

unsigned adit_ring_flush(struct adit_ring *ring, int *error) {
  (void)ring;
  *error = 0;
  return 0;
}
#endif
