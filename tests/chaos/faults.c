/* System calls that touch one folder, counted, logged and made to fail: loaded before libc (LD_PRELOAD).

   Nothing happens until `fault_arm` is called, in the process that is to suffer. From then on each call below, on a path or a
   descriptor inside the folder, has a number from 1. The call numbered `at` meets the fault; with `lasting`, so does every one
   after it that the fault can meet. With at = 0 calls are only logged, one line each: NUMBER NAME FLAGS PATH. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum fault { NONE, ERROR, KILL_BEFORE, KILL_AFTER, SHORT, TORN };

static char folder[PATH_MAX];
static size_t folder_length;
static long at, count;
static int fault, fault_errno, lasting, log_file = -1, armed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void fault_arm(const char *path, const char *log, long number, int kind, int error, int is_lasting) {
    snprintf(folder, sizeof folder, "%s", path);
    folder_length = strlen(folder);
    at = number, fault = kind, fault_errno = error, lasting = is_lasting, count = 0;
    log_file = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    armed = 1;
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* The absolute path of a name below a directory's descriptor; of the descriptor itself where the name is NULL. */
static void absolute(int directory, const char *name, char *path) {
    char link[64];
    ssize_t length;
    if (name != NULL && name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return;
    }
    if (directory == AT_FDCWD) {
        if (getcwd(path, PATH_MAX) == NULL) path[0] = 0;
        length = (ssize_t)strlen(path);
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        length = readlink(link, path, PATH_MAX - 1);
        if (length < 0) length = 0;
        path[length] = 0;
    }
    if (name != NULL) snprintf(path + length, PATH_MAX - (size_t)length, "/%s", name);
}

/* Which fault this call meets; it is counted and logged. `kind` is r for a call that only reads, s for one that takes space on
   the disk, w for another that changes it, l for one that locks: a full disk stops the second alone, a read-only one the second
   and third. */
static enum fault next(const char *call, char kind, int directory, const char *name) {
    char path[PATH_MAX], line[PATH_MAX + 64];
    int kept = errno, meets = 0, length;
    long number;
    if (!armed) return NONE;
    absolute(directory, name, path);
    errno = kept;
    if (strncmp(path, folder, folder_length) || (path[folder_length] != '/' && path[folder_length])) return NONE;
    pthread_mutex_lock(&lock);
    number = ++count;
    pthread_mutex_unlock(&lock);
    if (at && number == at) meets = 1;
    if (at && number > at && lasting)
        meets = fault_errno == ENOSPC ? kind == 's' : fault_errno == EROFS ? kind == 's' || kind == 'w' : 1;
    length = snprintf(line, sizeof line, "%ld %s %c%s %s\n", number, call, kind, meets ? "!" : "", path + folder_length);
    syscall(SYS_write, log_file, line, (size_t)length);
    errno = kept;
    return meets ? (enum fault)fault : NONE;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
/* Meet the fault, or make the call. */
#define CALL(type, failed, call, kind, directory, path, made)                                                                      \
    enum fault met = next(call, kind, directory, path);                                                                            \
    if (met == KILL_BEFORE || met == TORN) die();                                                                                  \
    if (met == ERROR) return errno = fault_errno, failed;                                                                          \
    type result = made;                                                                                                            \
    if (met == KILL_AFTER) die();                                                                                                  \
    return result

static char open_kind(int flags) {
    if (flags & O_CREAT) return 's';
    return (flags & O_ACCMODE) == O_RDONLY ? 'r' : 'w';
}

#define MODE                                                                                                                       \
    mode_t mode = 0;                                                                                                               \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                                                           \
        va_list more;                                                                                                              \
        va_start(more, flags);                                                                                                     \
        mode = va_arg(more, mode_t);                                                                                               \
        va_end(more);                                                                                                              \
    }

int open(const char *path, int flags, ...) {
    MODE REAL(open);
    CALL(int, -1, "open", open_kind(flags), AT_FDCWD, path, real(path, flags, mode));
}
int open64(const char *path, int flags, ...) {
    MODE REAL(open64);
    CALL(int, -1, "open", open_kind(flags), AT_FDCWD, path, real(path, flags, mode));
}
int openat(int directory, const char *path, int flags, ...) {
    MODE REAL(openat);
    CALL(int, -1, "open", open_kind(flags), directory, path, real(directory, path, flags, mode));
}
int openat64(int directory, const char *path, int flags, ...) {
    MODE REAL(openat64);
    CALL(int, -1, "open", open_kind(flags), directory, path, real(directory, path, flags, mode));
}
FILE *fopen(const char *path, const char *how) {
    REAL(fopen);
    CALL(FILE *, NULL, "open", how[0] == 'r' ? 'r' : 's', AT_FDCWD, path, real(path, how));
}
FILE *fopen64(const char *path, const char *how) {
    REAL(fopen64);
    CALL(FILE *, NULL, "open", how[0] == 'r' ? 'r' : 's', AT_FDCWD, path, real(path, how));
}
DIR *opendir(const char *path) {
    REAL(opendir);
    CALL(DIR *, NULL, "opendir", 'r', AT_FDCWD, path, real(path));
}

ssize_t write(int file, const void *bytes, size_t size) {
    REAL(write);
    enum fault met = next("write", 's', file, NULL);
    ssize_t written;
    if (met == KILL_BEFORE) die();
    if (met == ERROR) return errno = fault_errno, -1;
    if ((met == SHORT || met == TORN) && size > 1) size /= 2;
    written = real(file, bytes, size);
    if (met == KILL_AFTER || met == TORN) die();
    return written;
}
ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t offset) {
    REAL(pwrite64);
    CALL(ssize_t, -1, "write", 's', file, NULL, real(file, bytes, size, offset));
}
ssize_t writev(int file, const struct iovec *parts, int number) {
    REAL(writev);
    CALL(ssize_t, -1, "write", 's', file, NULL, real(file, parts, number));
}
ssize_t read(int file, void *bytes, size_t size) {
    REAL(read);
    CALL(ssize_t, -1, "read", 'r', file, NULL, real(file, bytes, size));
}
int fsync(int file) {
    REAL(fsync);
    CALL(int, -1, "fsync", 's', file, NULL, real(file));
}
int fdatasync(int file) {
    REAL(fdatasync);
    CALL(int, -1, "fsync", 's', file, NULL, real(file));
}
int ftruncate(int file, off_t size) {
    REAL(ftruncate);
    CALL(int, -1, "ftruncate", 'w', file, NULL, real(file, size));
}
int ftruncate64(int file, off64_t size) {
    REAL(ftruncate64);
    CALL(int, -1, "ftruncate", 'w', file, NULL, real(file, size));
}
int flock(int file, int operation) {
    REAL(flock);
    /* Letting go fails nowhere. */
    if (operation & LOCK_UN) return real(file, operation);
    CALL(int, -1, "flock", 'l', file, NULL, real(file, operation));
}
/* The descriptor is closed whatever is answered, as Linux does. */
int close(int file) {
    REAL(close);
    int flags = armed ? fcntl(file, F_GETFL) : -1;
    enum fault met = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY ? next("close", 'w', file, NULL) : NONE;
    int result;
    if (met == KILL_BEFORE || met == TORN) die();
    result = real(file);
    if (met == KILL_AFTER) die();
    return met == ERROR ? (errno = fault_errno, -1) : result;
}

int rename(const char *from, const char *to) {
    REAL(rename);
    CALL(int, -1, "rename", 's', AT_FDCWD, to, real(from, to));
}
int renameat(int from_directory, const char *from, int to_directory, const char *to) {
    REAL(renameat);
    CALL(int, -1, "rename", 's', to_directory, to, real(from_directory, from, to_directory, to));
}
int unlink(const char *path) {
    REAL(unlink);
    CALL(int, -1, "unlink", 'w', AT_FDCWD, path, real(path));
}
int unlinkat(int directory, const char *path, int flags) {
    REAL(unlinkat);
    CALL(int, -1, flags & AT_REMOVEDIR ? "rmdir" : "unlink", 'w', directory, path, real(directory, path, flags));
}
int rmdir(const char *path) {
    REAL(rmdir);
    CALL(int, -1, "rmdir", 'w', AT_FDCWD, path, real(path));
}
int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    CALL(int, -1, "mkdir", 's', AT_FDCWD, path, real(path, mode));
}
int mkdirat(int directory, const char *path, mode_t mode) {
    REAL(mkdirat);
    CALL(int, -1, "mkdir", 's', directory, path, real(directory, path, mode));
}
