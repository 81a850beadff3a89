/*
 * A disk that fails, by LD_PRELOAD. Compiled by log/tests/it/faults.rs; never part of the product.
 *
 * Counts the calls below on files under FAULT_DIR, from 1, and lets some fail:
 *
 *   open/openat with O_CREAT, write, writev, pwrite, fsync, fdatasync, ftruncate, fallocate, posix_fallocate,
 *   rename, unlink, mkdir
 *
 *   FAULT_AT     the call that fails; 0 or absent: none
 *   FAULT_HOW    once | always (that call and every one after it) | short (a write does half of its work, once)
 *   FAULT_ERRNO  the error, a number: EIO 5, ENOSPC 28
 *   FAULT_COUNT  a file outside FAULT_DIR that holds, at exit, the number of calls, and the name of the failed one
 *
 * What it does not see: stdio and mmap (not used for writing), and sync_file_range (RocksDB asks once, for no bytes,
 * whether there is such a call, and otherwise does without it).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;
static char failed[64] = "-";

static int under(const char *path) {
    const char *dir = getenv("FAULT_DIR");
    return dir && path && strncmp(path, dir, strlen(dir)) == 0;
}

static int fd_under(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return under(path);
}

/* 0: go on; 1: fail; 2: do half. */
static int verdict(const char *name, int is_write) {
    long n = atomic_fetch_add(&calls, 1) + 1;
    const char *at = getenv("FAULT_AT"), *how = getenv("FAULT_HOW"), *error = getenv("FAULT_ERRNO");
    long wanted = at ? atol(at) : 0;
    if (wanted == 0 || !how || n < wanted || (n > wanted && strcmp(how, "always") != 0)) return 0;
    if (n == wanted) snprintf(failed, sizeof failed, "%s", name);
    if (strcmp(how, "short") == 0) return is_write ? 2 : 0;
    errno = error ? atoi(error) : EIO;
    return 1;
}

__attribute__((destructor)) static void report(void) {
    const char *path = getenv("FAULT_COUNT");
    if (!path) return;
    FILE *file = fopen(path, "w");
    if (!file) return;
    fprintf(file, "%ld %s\n", atomic_load(&calls), failed);
    fclose(file);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                        \
    int name(const char *path, int flags, ...) {                          \
        va_list list;                                                     \
        va_start(list, flags);                                            \
        mode_t mode = va_arg(list, mode_t);                               \
        va_end(list);                                                     \
        if ((flags & O_CREAT) && under(path) && verdict(#name, 0)) return -1; \
        return REAL(name)(path, flags, mode);                             \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                      \
    int name(int dir, const char *path, int flags, ...) {                 \
        va_list list;                                                     \
        va_start(list, flags);                                            \
        mode_t mode = va_arg(list, mode_t);                               \
        va_end(list);                                                     \
        if ((flags & O_CREAT) && under(path) && verdict(#name, 0)) return -1; \
        return REAL(name)(dir, path, flags, mode);                        \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *bytes, size_t len) {
    if (fd > 2 && fd_under(fd)) switch (verdict("write", 1)) {
        case 1: return -1;
        case 2: len = len > 1 ? len / 2 : len;
    }
    return REAL(write)(fd, bytes, len);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (fd > 2 && fd_under(fd) && verdict("writev", 0)) return -1;
    return REAL(writev)(fd, parts, count);
}

#define PWRITE(name, offset)                                              \
    ssize_t name(int fd, const void *bytes, size_t len, offset at) {      \
        if (fd_under(fd)) switch (verdict(#name, 1)) {                    \
            case 1: return -1;                                            \
            case 2: len = len > 1 ? len / 2 : len;                        \
        }                                                                 \
        return REAL(name)(fd, bytes, len, at);                            \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define ON_FD(name, parameters, ...)                                      \
    int name parameters {                                                 \
        if (fd_under(fd) && verdict(#name, 0)) return -1;                 \
        return REAL(name)(__VA_ARGS__);                                   \
    }
ON_FD(fsync, (int fd), fd)
ON_FD(fdatasync, (int fd), fd)
ON_FD(ftruncate, (int fd, off_t len), fd, len)
ON_FD(ftruncate64, (int fd, off64_t len), fd, len)
ON_FD(fallocate, (int fd, int mode, off_t at, off_t len), fd, mode, at, len)
ON_FD(fallocate64, (int fd, int mode, off64_t at, off64_t len), fd, mode, at, len)

#define POSIX_FALLOCATE(name, offset)                                     \
    int name(int fd, offset at, offset len) {                             \
        if (fd_under(fd) && verdict(#name, 0)) return errno;              \
        return REAL(name)(fd, at, len);                                   \
    }
POSIX_FALLOCATE(posix_fallocate, off_t)
POSIX_FALLOCATE(posix_fallocate64, off64_t)

int rename(const char *from, const char *to) {
    if (under(to) && verdict("rename", 0)) return -1;
    return REAL(rename)(from, to);
}

int unlink(const char *path) {
    if (under(path) && verdict("unlink", 0)) return -1;
    return REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
    if (under(path) && verdict("mkdir", 0)) return -1;
    return REAL(mkdir)(path, mode);
}
