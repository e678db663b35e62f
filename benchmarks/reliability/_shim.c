/* Preloaded before libc: lets the n-th call that changes files below one folder fail, whoever makes it.
 *
 * HDF5 writes in C, where nothing of Python can stand in between; here it meets the same errors as on a failing disk.
 * Built by _faults.py. Calls: open (creating), mkdir, write, pwrite, ftruncate, posix_fallocate, fsync, rename, unlink.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { ONCE, FROM_THEN_ON, SHORT }; /* SHORT: half of the n-th write is done, and what follows fails */

static char folder[PATH_MAX];
static long fails_at, calls;
static int error_number, how;

void faults_arm(const char *below, long n, int error, int mode) {
    snprintf(folder, sizeof folder, "%s", below);
    fails_at = n, error_number = error, how = mode, calls = 0;
}

long faults_calls(void) { return calls; }

static int below_folder(const char *path) {
    return folder[0] && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int of_folder(int fd) {
    char link[64], path[PATH_MAX];
    if (!folder[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below_folder(path);
}

/* 0: let it pass; 1: fail; 2: do half of it. Removing a file needs no room, and is what tidies up after an error. */
static int verdict(int writes, int frees) {
    long n = ++calls;
    if (!fails_at || n < fails_at) return 0;
    if (n == fails_at) return how == SHORT && writes ? 2 : 1;
    return how != ONCE && !frees;
}

#define FIND(name) if (!real) real = (__typeof__(real))dlsym(RTLD_NEXT, name)
#define FAIL(value) return errno = error_number, (value)

#define WRITE(name, arguments, call)                                                            \
    ssize_t name arguments {                                                                    \
        static ssize_t (*real) arguments;                                                       \
        int what = of_folder(fd) ? verdict(1, 0) : 0;                                           \
        if (what == 1) FAIL(-1);                                                                \
        if (what == 2 && count > 1) count /= 2;                                                 \
        FIND(#name);                                                                            \
        return real call;                                                                       \
    }
WRITE(write, (int fd, const void *data, size_t count), (fd, data, count))
WRITE(pwrite, (int fd, const void *data, size_t count, off_t at), (fd, data, count, at))
WRITE(pwrite64, (int fd, const void *data, size_t count, off64_t at), (fd, data, count, at))

#define ON_FILE(name, arguments, call)                                                          \
    int name arguments {                                                                        \
        static int (*real) arguments;                                                           \
        if (of_folder(fd) && verdict(0, 0)) FAIL(-1);                                           \
        FIND(#name);                                                                            \
        return real call;                                                                       \
    }
ON_FILE(ftruncate, (int fd, off_t length), (fd, length))
ON_FILE(ftruncate64, (int fd, off64_t length), (fd, length))
ON_FILE(fsync, (int fd), (fd))

#define ALLOCATE(name, type)                                                                    \
    int name(int fd, type at, type length) {                                                    \
        static int (*real)(int, type, type);                                                    \
        if (of_folder(fd) && verdict(0, 0)) return error_number;                                \
        FIND(#name);                                                                            \
        return real(fd, at, length);                                                            \
    }
ALLOCATE(posix_fallocate, off_t)
ALLOCATE(posix_fallocate64, off64_t)

int rename(const char *from, const char *to) {
    static int (*real)(const char *, const char *);
    if (below_folder(to) && verdict(0, 0)) FAIL(-1);
    FIND("rename");
    return real(from, to);
}

int unlink(const char *path) {
    static int (*real)(const char *);
    if (below_folder(path) && verdict(0, 1)) FAIL(-1);
    FIND("unlink");
    return real(path);
}

int mkdir(const char *path, mode_t mode) {
    static int (*real)(const char *, mode_t);
    if (below_folder(path) && verdict(0, 0)) FAIL(-1);
    FIND("mkdir");
    return real(path, mode);
}

#define OPEN(name)                                                                              \
    int name(const char *path, int flags, ...) {                                                \
        static int (*real)(const char *, int, ...);                                             \
        va_list rest;                                                                           \
        va_start(rest, flags);                                                                  \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                               \
        va_end(rest);                                                                           \
        if (flags & O_CREAT && below_folder(path) && verdict(0, 0)) FAIL(-1);                   \
        FIND(#name);                                                                            \
        return real(path, flags, mode);                                                         \
    }
OPEN(open)
OPEN(open64)
