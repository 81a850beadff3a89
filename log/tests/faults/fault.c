/*
 * A disk that fails, by LD_PRELOAD. Compiled by log/tests/it/shim.rs; never part of the product.
 *
 * Counts the calls below on files under FAULT_DIR, from 1, and lets some fail:
 *
 *   open/openat with O_CREAT, write, writev, pwrite, fsync, fdatasync, ftruncate, fallocate, posix_fallocate,
 *   rename, link, linkat, unlink, unlinkat, mkdir, rmdir
 *
 *   FAULT_AT     the call that fails; 0 or absent: none
 *   FAULT_HOW    once | always (that call and every one after it) | short (a write does half of its work, once)
 *                | power (the power is lost before that call: power.h)
 *   FAULT_ERRNO  the error, a number: EIO 5, ENOSPC 28
 *   FAULT_COUNT  a file outside FAULT_DIR that holds, at exit or loss of power, the number of calls, and the name of the
 *                failed one
 *   FAULT_LOSS   what a loss of power takes: power.h. Where it is set, the power is also lost when the process removes a
 *                file `power-is-lost` in FAULT_DIR, which does not count as a call.
 *
 * What it does not see: stdio (RocksDB's text log alone), mmap (not used for writing), truncate and renameat (used by
 * nobody here), and sync_file_range, which promises nothing: RocksDB asks once, for no bytes, whether there is such a
 * call, and uses it where tables are written in pieces.
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

#include "power.h"

static int under(const char *path) {
    const char *dir = getenv("FAULT_DIR");
    return dir && path && under_folder(path, dir);
}

static int fd_under(int fd) {
    char path[PATH_MAX];
    return fd_path(fd, path) && under(path);
}

/* A path relative to an open folder, as far as it can be told. */
static const char *at_path(int dir, const char *path, char buffer[2 * PATH_MAX]) {
    char folder[PATH_MAX];
    if (path[0] == '/' || dir == AT_FDCWD || !fd_path(dir, folder)) return path;
    snprintf(buffer, 2 * PATH_MAX, "%s/%s", folder, path);
    return buffer;
}

static void report(void);

/* 0: go on; 1: fail; 2: do half. */
static int verdict(const char *name, int is_write) {
    long n = atomic_fetch_add(&calls, 1) + 1;
    const char *at = getenv("FAULT_AT"), *how = getenv("FAULT_HOW"), *error = getenv("FAULT_ERRNO");
    long wanted = at ? atol(at) : 0;
    if (wanted == 0 || !how || n < wanted || (n > wanted && strcmp(how, "always") != 0)) return 0;
    if (n == wanted) snprintf(failed, sizeof failed, "%s", name);
    if (strcmp(how, "short") == 0) return is_write ? 2 : 0;
    if (strcmp(how, "power") == 0) {
        report();
        power_is_lost();
    }
    errno = error ? atoi(error) : EIO;
    return 1;
}

__attribute__((destructor)) static void at_exit(void) {
    report();
    drop_kept();
}

static void report(void) {
    const char *path = getenv("FAULT_COUNT");
    if (!path) return;
    FILE *file = fopen(path, "w");
    if (!file) return;
    fprintf(file, "%ld %s\n", atomic_load(&calls), failed);
    fclose(file);
}

/* Opens; whoever makes a file or empties it changes what is on the disk. */
#define OPENED(path, call)                                                \
    call_begins();                                                        \
    int ours = power() && under(path) && (flags & O_ACCMODE) != O_RDONLY; \
    int made = ours && (flags & O_CREAT) && access(path, F_OK) != 0;      \
    int fd = call;                                                        \
    if (ours && fd >= 0) {                                                \
        file_opened(fd, made, flags);                                     \
        if (made) name_added(path, 0);                                    \
    }                                                                     \
    call_ends();                                                          \
    return fd;

#define OPEN(name)                                                        \
    int name(const char *path, int flags, ...) {                          \
        va_list list;                                                     \
        va_start(list, flags);                                            \
        mode_t mode = va_arg(list, mode_t);                               \
        va_end(list);                                                     \
        if ((flags & O_CREAT) && under(path) && verdict(#name, 0)) return -1; \
        OPENED(path, REAL(name)(path, flags, mode))                       \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                      \
    int name(int dir, const char *path, int flags, ...) {                 \
        char buffer[2 * PATH_MAX];                                        \
        va_list list;                                                     \
        va_start(list, flags);                                            \
        mode_t mode = va_arg(list, mode_t);                               \
        va_end(list);                                                     \
        const char *whole = at_path(dir, path, buffer);                   \
        if ((flags & O_CREAT) && under(whole) && verdict(#name, 0)) return -1; \
        OPENED(whole, REAL(name)(dir, path, flags, mode))                 \
    }
OPENAT(openat)
OPENAT(openat64)

/* While the real call runs the power does not go. */
#define RUN(type, call)                                                   \
    call_begins();                                                        \
    type done = call;                                                     \
    call_ends();                                                          \
    return done;

ssize_t write(int fd, const void *bytes, size_t len) {
    if (fd <= 2 || !fd_under(fd)) return REAL(write)(fd, bytes, len);
    switch (verdict("write", 1)) {
        case 1: return -1;
        case 2: len = len > 1 ? len / 2 : len;
    }
    RUN(ssize_t, REAL(write)(fd, bytes, len))
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (fd <= 2 || !fd_under(fd)) return REAL(writev)(fd, parts, count);
    if (verdict("writev", 0)) return -1;
    RUN(ssize_t, REAL(writev)(fd, parts, count))
}

#define PWRITE(name, offset)                                              \
    ssize_t name(int fd, const void *bytes, size_t len, offset at) {      \
        if (!fd_under(fd)) return REAL(name)(fd, bytes, len, at);         \
        switch (verdict(#name, 1)) {                                      \
            case 1: return -1;                                            \
            case 2: len = len > 1 ? len / 2 : len;                        \
        }                                                                 \
        RUN(ssize_t, REAL(name)(fd, bytes, len, at))                      \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

/* A sync is noted, and goes no further: what it would do is only seen where the real power fails, and it takes most of
 * the time. The folder that holds FAULT_DIR is synced by whoever makes FAULT_DIR: seen, and not counted. */
static int fd_above(int fd) {
    char path[PATH_MAX];
    return power() && fd_path(fd, path) && is_parent(path, getenv("FAULT_DIR"));
}

#define SYNC(name)                                                        \
    int name(int fd) {                                                    \
        if (!fd_under(fd) && !fd_above(fd)) return REAL(name)(fd);        \
        if (fd_under(fd) && verdict(#name, 0)) return -1;                 \
        if (!power()) return 0;                                           \
        call_begins();                                                    \
        sync_ends(fd, sync_begins(fd));                                   \
        call_ends();                                                      \
        return 0;                                                         \
    }
SYNC(fsync)
SYNC(fdatasync)

#define FTRUNCATE(name, offset)                                           \
    int name(int fd, offset len) {                                        \
        int ours = fd_under(fd);                                          \
        if (ours && verdict(#name, 0)) return -1;                         \
        call_begins();                                                    \
        int done = REAL(name)(fd, len);                                   \
        if (done == 0 && ours && power()) file_cut(fd, len);              \
        call_ends();                                                      \
        return done;                                                      \
    }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

/* Room set aside that no length shows: nobody would see it. */
#define FALLOCATE(name, offset)                                           \
    int name(int fd, int mode, offset at, offset len) {                   \
        if (fd_under(fd) && verdict(#name, 0)) return -1;                 \
        if (fd_under(fd) && mode == FALLOC_FL_KEEP_SIZE) return 0;        \
        RUN(int, REAL(name)(fd, mode, at, len))                           \
    }
FALLOCATE(fallocate, off_t)
FALLOCATE(fallocate64, off64_t)

#define POSIX_FALLOCATE(name, offset)                                     \
    int name(int fd, offset at, offset len) {                             \
        if (fd_under(fd) && verdict(#name, 0)) return errno;              \
        RUN(int, REAL(name)(fd, at, len))                                 \
    }
POSIX_FALLOCATE(posix_fallocate, off_t)
POSIX_FALLOCATE(posix_fallocate64, off64_t)

int rename(const char *from, const char *to) {
    if (under(to) && verdict("rename", 0)) return -1;
    if (!power() || !under(to)) return REAL(rename)(from, to);
    call_begins();
    long old = name_goes(from), replaced = name_goes(to);
    int done = REAL(rename)(from, to), why = errno;
    if (done == 0) {
        name_added(to, 0);
    } else {
        name_stays(old);
        name_stays(replaced);
    }
    call_ends();
    errno = why;
    return done;
}

static int linked(int done, const char *to) {
    if (done == 0 && power() && under(to)) name_added(to, 0);
    call_ends();
    return done;
}

int link(const char *from, const char *to) {
    if (under(to) && verdict("link", 0)) return -1;
    call_begins();
    return linked(REAL(link)(from, to), to);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    char buffer[2 * PATH_MAX];
    const char *whole = at_path(to_dir, to, buffer);
    if (under(whole) && verdict("linkat", 0)) return -1;
    call_begins();
    return linked(REAL(linkat)(from_dir, from, to_dir, to, flags), whole);
}

/* Removes a name by `call`. */
#define REMOVED(path, folder, call)                                       \
    call_begins();                                                        \
    int ours = power() && under(path);                                    \
    long old = ours && !(folder) ? name_goes(path) : -1;                  \
    int done = call, why = errno;                                         \
    if (done != 0) name_stays(old);                                       \
    else if (ours && (folder)) change_of_name(path, 0, 1, NULL);          \
    call_ends();                                                          \
    errno = why;                                                          \
    return done;

static void watch_for_the_end(const char *path) {
    const char *name = strrchr(path, '/');
    if (!power() || !name || strcmp(name, "/power-is-lost") != 0 || !under(path)) return;
    report();
    power_is_lost();
}

int unlink(const char *path) {
    watch_for_the_end(path);
    if (under(path) && verdict("unlink", 0)) return -1;
    REMOVED(path, 0, REAL(unlink)(path))
}

int unlinkat(int dir, const char *path, int flags) {
    char buffer[2 * PATH_MAX];
    const char *whole = at_path(dir, path, buffer);
    if (under(whole) && verdict("unlinkat", 0)) return -1;
    REMOVED(whole, flags & AT_REMOVEDIR, REAL(unlinkat)(dir, path, flags))
}

int rmdir(const char *path) {
    if (under(path) && verdict("rmdir", 0)) return -1;
    REMOVED(path, 1, REAL(rmdir)(path))
}

int mkdir(const char *path, mode_t mode) {
    if (under(path) && verdict("mkdir", 0)) return -1;
    call_begins();
    int done = REAL(mkdir)(path, mode);
    if (done == 0 && power() && under(path)) name_added(path, 1);
    call_ends();
    return done;
}
