/*
 * A loss of power: what of FAULT_DIR was never synced is taken back, and the process is killed.
 *
 * Of each file that was opened for writing the length that was last synced is known; each change of a name (a file made,
 * linked, renamed or removed, a folder made or removed) is known until its folder is synced, and a removed file is kept
 * until then under a name beside FAULT_DIR. What is lost, FAULT_LOSS says:
 *
 *   all     every byte and every change of a name that was not synced: the worst that POSIX allows
 *   names   every change of a name that was not synced, and no bytes
 *   bytes   every byte that was not synced: names are as they were left, as a journalling file system would have them
 *   half    the second half of each file's bytes that were not synced
 *
 * Calls hold `alive` for reading while they run, and the loss holds it for writing: no call is half done when the power
 * goes, and none that comes later returns. So nobody is answered for what is lost.
 *
 * What it does not see: bytes that were written over others (the log and RocksDB only add to files), changed again by
 * stdio (RocksDB's text log) or mmap, and any order of names other than none or all of those that were not synced.
 */
#include <ftw.h>
#include <pthread.h>
#include <signal.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

struct synced { ino_t inode; off_t len; };
struct change { char *path, *kept; int added, folder, open; };

static struct synced *files;
static struct change *changes;
static size_t files_count, changes_count;
static pthread_rwlock_t alive = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t known = PTHREAD_MUTEX_INITIALIZER;

static int power(void) { return getenv("FAULT_LOSS") != NULL; }
static void call_begins(void) { if (power()) pthread_rwlock_rdlock(&alive); }
static void call_ends(void) { if (power()) pthread_rwlock_unlock(&alive); }

static int fd_path(int fd, char path[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    path[n < 0 ? 0 : n] = 0;
    return n >= 0;
}

/* Whether `path` lies in `folder` itself, or is the folder. */
static int under_folder(const char *path, const char *folder) {
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == 0);
}

static int is_parent(const char *folder, const char *path) {
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && path[n] == '/' && !strchr(path + n + 1, '/');
}

static struct synced *file_of(ino_t inode) {
    for (size_t i = 0; i < files_count; i++) if (files[i].inode == inode) return &files[i];
    return NULL;
}

static void *grown(void *items, size_t count, size_t size) {
    /* Room for 64 more, whenever it is full. */
    if (count % 64 == 0) items = realloc(items, (count + 64) * size);
    if (!items) abort();
    return items;
}

/* A file was opened for writing. What it had before this process is as safe as it was. */
static void file_opened(int fd, int made, int flags) {
    struct stat stat;
    if (fstat(fd, &stat) || !S_ISREG(stat.st_mode)) return;
    pthread_mutex_lock(&known);
    struct synced *file = file_of(stat.st_ino);
    int found = file != NULL;
    if (!found) {
        files = grown(files, files_count, sizeof *files);
        file = &files[files_count++];
        file->inode = stat.st_ino;
    }
    if (made || (flags & O_TRUNC)) file->len = 0;
    else if (!found) file->len = stat.st_size;
    pthread_mutex_unlock(&known);
}

static void file_cut(int fd, off_t len) {
    struct stat stat;
    if (fstat(fd, &stat)) return;
    pthread_mutex_lock(&known);
    struct synced *file = file_of(stat.st_ino);
    if (file && file->len > len) file->len = len;
    pthread_mutex_unlock(&known);
}

static size_t change_of_name(const char *path, int added, int folder, const char *kept) {
    pthread_mutex_lock(&known);
    changes = grown(changes, changes_count, sizeof *changes);
    size_t number = changes_count++;
    changes[number] = (struct change){strdup(path), kept ? strdup(kept) : NULL, added, folder, 1};
    pthread_mutex_unlock(&known);
    return number;
}

static void name_added(const char *path, int folder) { change_of_name(path, 1, folder, NULL); }

/* To be told before a name goes: the file is kept until the folder is synced. */
static long name_goes(const char *path) {
    static atomic_long count;
    char folder[PATH_MAX], kept[PATH_MAX + 64];
    snprintf(folder, sizeof folder, "%s.kept", getenv("FAULT_DIR"));
    REAL(mkdir)(folder, 0700);
    snprintf(kept, sizeof kept, "%s/%d-%ld", folder, getpid(), atomic_fetch_add(&count, 1));
    if (REAL(link)(path, kept)) return -1; /* There is no such name. */
    return (long)change_of_name(path, 0, 0, kept);
}

static void forget(struct change *change) {
    if (change->kept) REAL(unlink)(change->kept);
    change->open = 0;
}

/* The name did not go. */
static void name_stays(long number) {
    if (number < 0) return;
    pthread_mutex_lock(&known);
    forget(&changes[number]);
    pthread_mutex_unlock(&known);
}

/* What is to be safe once a sync that begins now succeeds. */
struct sync { struct stat stat; size_t changes; };

static struct sync sync_begins(int fd) {
    struct sync sync = {.changes = changes_count};
    if (fstat(fd, &sync.stat)) sync.stat.st_mode = 0;
    return sync;
}

static void sync_ends(int fd, struct sync sync) {
    char folder[PATH_MAX];
    pthread_mutex_lock(&known);
    if (S_ISREG(sync.stat.st_mode)) {
        struct synced *file = file_of(sync.stat.st_ino);
        if (file && file->len < sync.stat.st_size) file->len = sync.stat.st_size;
    } else if (S_ISDIR(sync.stat.st_mode) && fd_path(fd, folder)) {
        for (size_t i = 0; i < sync.changes; i++)
            if (changes[i].open && is_parent(folder, changes[i].path)) forget(&changes[i]);
    }
    pthread_mutex_unlock(&known);
}

static int gone(const char *path, const struct stat *stat, int type, struct FTW *at) {
    (void)stat, (void)at;
    return type == FTW_DP ? REAL(rmdir)(path) : REAL(unlink)(path);
}

static int halves;

static int cut(const char *path, const struct stat *stat, int type) {
    struct synced *file = type == FTW_F ? file_of(stat->st_ino) : NULL;
    if (!file || file->len >= stat->st_size) return 0;
    /* It may have another name, under which it is as long as this. */
    if (halves) file->len += (stat->st_size - file->len) / 2;
    return REAL(truncate)(path, file->len);
}

static void take_back(struct change *change) {
    if (!change->open) return;
    if (change->added) nftw(change->path, gone, 16, FTW_DEPTH | FTW_PHYS);
    else if (change->folder) REAL(mkdir)(change->path, 0700);
    else REAL(link)(change->kept, change->path);
}

static void drop_kept(void) {
    char kept[PATH_MAX];
    snprintf(kept, sizeof kept, "%s.kept", getenv("FAULT_DIR"));
    nftw(kept, gone, 16, FTW_DEPTH | FTW_PHYS);
}

static void power_is_lost(void) {
    const char *loss = getenv("FAULT_LOSS"), *dir = getenv("FAULT_DIR");
    pthread_rwlock_wrlock(&alive);
    halves = strcmp(loss, "half") == 0;
    int names = strcmp(loss, "all") == 0 || strcmp(loss, "names") == 0;
    /* The last first: each finds what it left. */
    for (size_t i = changes_count; names && i > 0; i--) take_back(&changes[i - 1]);
    if (strcmp(loss, "names") != 0) ftw(dir, cut, 16);
    drop_kept();
    kill(getpid(), SIGKILL);
    for (;;) pause();
}
