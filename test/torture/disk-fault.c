/*
 * Stands between a process and its database file: counts the calls that concern the file, records them in the
 * order in which they took effect, lets one of them fail or the process die in it, and sets the wall clock.
 *
 * Preloaded. A tracer (strace, ptrace) does the same from outside, and stops every thread twice at each call.
 * What it reads and counts lies in a shared mapping of the file DISK_FAULT_CONTROL, which outlives the process;
 * disk-fault.ts is the other side of it. DISK_FAULT_WATCH is the path of the database; its -wal, -journal and
 * -shm and its directory are watched with it. DISK_FAULT_RECORD, if set, is the file that records go to.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum call { CALL_WRITE, CALL_SYNC, CALL_TRUNCATE, CALL_OPEN, CALL_UNLINK, CALL_READ, CALL_MAP, CALLS };
enum file { FILE_NONE, FILE_DATABASE, FILE_WAL, FILE_JOURNAL, FILE_INDEX, FILE_DIRECTORY, FILES };
enum fault { FAULT_NONE, FAULT_KILL_BEFORE, FAULT_KILL_AFTER, FAULT_ERROR, FAULT_KILL_TORN, FAULT_LIE };
enum record { RECORD_WRITE, RECORD_SYNC_BEGIN, RECORD_SYNC_END, RECORD_TRUNCATE, RECORD_CREATE, RECORD_UNLINK, RECORD_SAID };

struct control {
  _Atomic uint64_t calls[8];       /* by kind, on watched files */
  _Atomic uint64_t fault;          /* enum fault */
  _Atomic uint64_t fault_calls;    /* mask of enum call */
  _Atomic uint64_t fault_files;    /* mask of enum file */
  _Atomic uint64_t fault_at;       /* the number of the call, from 1 */
  _Atomic uint64_t fault_times;    /* how many calls fail; 0: all from there on */
  _Atomic uint64_t fault_errno;
  _Atomic uint64_t seen;           /* calls that the masks name */
  _Atomic uint64_t hits;           /* calls that failed, or in which the process died */
  _Atomic int64_t clock_offset_ns; /* what is added to the wall clock */
  _Atomic uint64_t syncs_done;     /* that succeeded */
  _Atomic uint64_t syncs_failed;
  _Atomic uint64_t writes_after_failed_sync;
  _Atomic uint64_t clock_reads;
};

static struct control *control;
static const char *watched;
static size_t watched_length;
static int record_fd = -1;
static int said_fd = -1;
static pthread_mutex_t record_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned char file_of_fd[4096];

#define REAL(result, name, ...) static result (*real_##name)(__VA_ARGS__)
REAL(int, fsync, int);
REAL(int, fdatasync, int);
REAL(int, ftruncate64, int, off64_t);
REAL(int, open64, const char *, int, ...);
REAL(int, close, int);
REAL(int, unlink, const char *);
REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
REAL(ssize_t, pread64, int, void *, size_t, off64_t);
REAL(ssize_t, write, int, const void *, size_t);
REAL(void *, mmap64, void *, size_t, int, int, int, off64_t);
REAL(int, gettimeofday, struct timeval *, void *);
REAL(int, clock_gettime, clockid_t, struct timespec *);
REAL(time_t, time, time_t *);

#define FIND(name) real_##name = (__typeof__(real_##name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
  FIND(fsync);
  FIND(fdatasync);
  FIND(ftruncate64);
  FIND(open64);
  FIND(close);
  FIND(unlink);
  FIND(pwrite64);
  FIND(pread64);
  FIND(write);
  FIND(mmap64);
  FIND(gettimeofday);
  FIND(clock_gettime);
  FIND(time);
  const char *path = getenv("DISK_FAULT_CONTROL");
  if (path == NULL) return;
  int fd = real_open64(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  void *mapped = real_mmap64(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  real_close(fd);
  if (mapped == MAP_FAILED) abort();
  control = mapped;
  watched = getenv("DISK_FAULT_WATCH");
  if (watched == NULL) abort();
  watched_length = strlen(watched);
  const char *record = getenv("DISK_FAULT_RECORD");
  if (record != NULL) {
    record_fd = real_open64(record, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (record_fd < 0) abort();
    said_fd = STDOUT_FILENO;
  }
}

static enum file file_of_path(const char *path) {
  if (control == NULL || path == NULL) return FILE_NONE;
  if (strncmp(path, watched, watched_length) == 0) {
    const char *rest = path + watched_length;
    if (*rest == '\0') return FILE_DATABASE;
    if (strcmp(rest, "-wal") == 0) return FILE_WAL;
    if (strcmp(rest, "-journal") == 0) return FILE_JOURNAL;
    if (strcmp(rest, "-shm") == 0) return FILE_INDEX;
    return FILE_NONE;
  }
  size_t length = strlen(path);
  const char *slash = strrchr(watched, '/');
  if (slash != NULL && (size_t)(slash - watched) == length && strncmp(path, watched, length) == 0) return FILE_DIRECTORY;
  return FILE_NONE;
}

static enum file file_of(int fd) {
  if (control == NULL || fd < 0 || fd >= (int)(sizeof file_of_fd)) return FILE_NONE;
  return file_of_fd[fd];
}

/* In the order of effects: the caller holds the lock from before the effect to after the record, where order counts. */
static void append_record(enum record type, enum file file, uint64_t offset, const void *data, uint64_t length) {
  struct {
    uint32_t type;
    uint32_t file;
    uint64_t offset;
    uint64_t length;
  } head = {type, file, offset, length};
  struct iovec parts[2] = {{&head, sizeof head}, {(void *)data, data == NULL ? 0 : length}};
  ssize_t expected = (ssize_t)(parts[0].iov_len + parts[1].iov_len);
  if (writev(record_fd, parts, 2) != expected) abort();
}

static int is_recording(enum file file) { return record_fd >= 0 && file != FILE_NONE && file != FILE_INDEX; }

static void lock_if(int wanted) {
  if (wanted) pthread_mutex_lock(&record_lock);
}
static void unlock_if(int wanted) {
  int error = errno;
  if (wanted) pthread_mutex_unlock(&record_lock);
  errno = error;
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* Counts the call, and says what is to become of it. */
static enum fault judge(enum call call, enum file file) {
  if (file == FILE_NONE) return FAULT_NONE;
  atomic_fetch_add(&control->calls[call], 1);
  enum fault fault = atomic_load(&control->fault);
  if (fault == FAULT_NONE) return FAULT_NONE;
  if ((atomic_load(&control->fault_calls) >> call & 1) == 0) return FAULT_NONE;
  if ((atomic_load(&control->fault_files) >> file & 1) == 0) return FAULT_NONE;
  uint64_t number = atomic_fetch_add(&control->seen, 1) + 1;
  uint64_t at = atomic_load(&control->fault_at);
  uint64_t times = atomic_load(&control->fault_times);
  if (at == 0 || number < at || (times != 0 && number >= at + times)) return FAULT_NONE;
  atomic_fetch_add(&control->hits, 1);
  if (fault == FAULT_KILL_BEFORE) die();
  return fault;
}

static int fail(void) {
  errno = (int)atomic_load(&control->fault_errno);
  return -1;
}

static int sync_file(int fd, int (*real)(int)) {
  enum file file = file_of(fd);
  if (file == FILE_NONE) return real(fd);
  enum fault fault = judge(CALL_SYNC, file);
  if (fault == FAULT_ERROR) {
    /* Of a directory's SQLite does not look at the answer. */
    if (file != FILE_DIRECTORY) atomic_fetch_add(&control->syncs_failed, 1);
    return fail();
  }
  if (fault == FAULT_LIE) return 0;
  int recording = is_recording(file);
  lock_if(recording);
  if (recording) append_record(RECORD_SYNC_BEGIN, file, 0, NULL, 0);
  unlock_if(recording);
  int result = real(fd);
  if (result == 0) {
    lock_if(recording);
    if (recording) append_record(RECORD_SYNC_END, file, 0, NULL, 0);
    unlock_if(recording);
    atomic_fetch_add(&control->syncs_done, 1);
  }
  if (fault == FAULT_KILL_AFTER) die();
  return result;
}

int fsync(int fd) { return sync_file(fd, real_fsync); }
int fdatasync(int fd) { return sync_file(fd, real_fdatasync); }

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
  enum file file = file_of(fd);
  if (file == FILE_NONE) return real_pwrite64(fd, data, length, offset);
  enum fault fault = judge(CALL_WRITE, file);
  /* A commit; what closing moves from the log into the file had its fsync before. */
  if (file == FILE_WAL && atomic_load(&control->syncs_failed) > 0) atomic_fetch_add(&control->writes_after_failed_sync, 1);
  if (fault == FAULT_ERROR) return fail();
  if (fault == FAULT_KILL_TORN) {
    real_pwrite64(fd, data, length / 2, offset);
    die();
  }
  int recording = is_recording(file);
  lock_if(recording);
  ssize_t result = real_pwrite64(fd, data, length, offset);
  if (recording && result > 0) append_record(RECORD_WRITE, file, offset, data, result);
  unlock_if(recording);
  if (fault == FAULT_KILL_AFTER) die();
  return result;
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }

ssize_t pread64(int fd, void *data, size_t length, off64_t offset) {
  if (judge(CALL_READ, file_of(fd)) == FAULT_ERROR) return fail();
  return real_pread64(fd, data, length, offset);
}
ssize_t pread(int fd, void *data, size_t length, off_t offset) { return pread64(fd, data, length, offset); }

int ftruncate64(int fd, off64_t length) {
  enum file file = file_of(fd);
  if (file == FILE_NONE) return real_ftruncate64(fd, length);
  enum fault fault = judge(CALL_TRUNCATE, file);
  if (fault == FAULT_ERROR) return fail();
  int recording = is_recording(file);
  lock_if(recording);
  int result = real_ftruncate64(fd, length);
  if (recording && result == 0) append_record(RECORD_TRUNCATE, file, length, NULL, 0);
  unlock_if(recording);
  if (fault == FAULT_KILL_AFTER) die();
  return result;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int open64(const char *path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  enum file file = file_of_path(path);
  if (file == FILE_NONE) {
    int other = real_open64(path, flags, mode);
    if (other >= 0 && other < (int)(sizeof file_of_fd)) file_of_fd[other] = FILE_NONE;
    return other;
  }
  enum fault fault = judge(CALL_OPEN, file);
  if (fault == FAULT_ERROR) return fail();
  int recording = is_recording(file);
  lock_if(recording);
  struct stat before;
  int is_new = (flags & O_CREAT) != 0 && stat(path, &before) != 0;
  int fd = real_open64(path, flags, mode);
  if (fd >= 0 && fd < (int)(sizeof file_of_fd)) file_of_fd[fd] = file;
  if (recording && fd >= 0 && is_new) append_record(RECORD_CREATE, file, 0, NULL, 0);
  unlock_if(recording);
  if (fault == FAULT_KILL_AFTER) die();
  return fd;
}
int open(const char *path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  return open64(path, flags, mode);
}

int close(int fd) {
  if (fd >= 0 && fd < (int)(sizeof file_of_fd)) file_of_fd[fd] = FILE_NONE;
  return real_close(fd);
}

int unlink(const char *path) {
  enum file file = file_of_path(path);
  if (file == FILE_NONE) return real_unlink(path);
  enum fault fault = judge(CALL_UNLINK, file);
  if (fault == FAULT_ERROR) return fail();
  int recording = is_recording(file);
  lock_if(recording);
  int result = real_unlink(path);
  if (recording && result == 0) append_record(RECORD_UNLINK, file, 0, NULL, 0);
  unlock_if(recording);
  if (fault == FAULT_KILL_AFTER) die();
  return result;
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
  if (real_mmap64 == NULL) FIND(mmap64);
  if (fd >= 0 && judge(CALL_MAP, file_of(fd)) == FAULT_ERROR) {
    fail();
    return MAP_FAILED;
  }
  return real_mmap64(at, length, protection, flags, fd, offset);
}
void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
  return mmap64(at, length, protection, flags, fd, offset);
}

/* What the process says to the outside world has its place among the effects: before the saying, not after. */
ssize_t write(int fd, const void *data, size_t length) {
  if (fd == said_fd && record_fd >= 0) {
    pthread_mutex_lock(&record_lock);
    append_record(RECORD_SAID, FILE_NONE, 0, data, length);
    ssize_t result = real_write(fd, data, length);
    unlock_if(1);
    return result;
  }
  return real_write(fd, data, length);
}

static int64_t clock_offset(void) { return control == NULL ? 0 : atomic_load(&control->clock_offset_ns); }

int clock_gettime(clockid_t id, struct timespec *now) {
  if (real_clock_gettime == NULL) FIND(clock_gettime);
  int result = real_clock_gettime(id, now);
  int64_t offset = clock_offset();
  if (result == 0 && offset != 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
    int64_t nanos = now->tv_nsec + offset % 1000000000;
    now->tv_sec += offset / 1000000000 + (nanos < 0 ? -1 : nanos / 1000000000);
    now->tv_nsec = nanos < 0 ? nanos + 1000000000 : nanos % 1000000000;
    atomic_fetch_add(&control->clock_reads, 1);
  }
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  if (real_gettimeofday == NULL) FIND(gettimeofday);
  int64_t offset = clock_offset();
  if (offset == 0) return real_gettimeofday(now, zone);
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *into) {
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  if (into != NULL) *into = exact.tv_sec;
  return exact.tv_sec;
}
