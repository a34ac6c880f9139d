/*
 * Counts fsync and fdatasync without slowing them: preloaded into every process of a measurement,
 * it adds one to a counter in a shared mapping of the file named by BENCH_FSYNC_FILE and goes on to
 * the real call. A tracer would stop the process at each call and so distort what it counts.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t *counter;
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void open_counter(void) {
  real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  const char *path = getenv("BENCH_FSYNC_FILE");
  if (path == NULL) return;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *mapped = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped != MAP_FAILED) counter = mapped;
}

int fsync(int fd) {
  if (counter != NULL) atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
  return real_fsync(fd);
}

int fdatasync(int fd) {
  if (counter != NULL) atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
  return real_fdatasync(fd);
}
