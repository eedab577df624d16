/* Preloaded into a process: counts the calls that change files, and at a chosen one ends the process group or fails.
 *
 * The block of counters lies in memory that forks share, so that a command and the processes which it forks count
 * together. Nothing is counted before arm(), and an exec'ed program (Git) starts unarmed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define NAME_BYTES 24
#define MOST_NAMES 16384

enum { COUNT, KILL_BEFORE, KILL_TORN, KILL_ONE, FAIL, FAIL_FROM };

typedef struct {
    int mode;      /* what happens at the chosen call */
    int number;    /* the errno of FAIL */
    long at;       /* the chosen call, from 1 */
    long count;    /* calls so far */
    long hit;      /* whether the chosen call came */
    int trace;     /* whether to raise SIGUSR1 at the chosen call, for a stack trace */
    char path[512]; /* what the chosen call was made on */
    char names[MOST_NAMES][NAME_BYTES];
} Block;

static Block *block;
static volatile int armed; /* read in a handler of a signal too */

__attribute__((constructor)) static void
begin(void)
{
    block = mmap(NULL, sizeof(Block), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        block = NULL;
}

void *
kist_crash_block(void)
{
    return block;
}

void
kist_crash_arm(int on)
{
    armed = on && block != NULL;
}

/* Note what the chosen call is made on: the path, or where the descriptor leads. */
static void
note(int descriptor, const char *path)
{
    char link[40];
    block->hit = 1;
    if (path != NULL)
        strncpy(block->path, path, sizeof(block->path) - 1);
    else {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
        ssize_t size = readlink(link, block->path, sizeof(block->path) - 1);
        block->path[size < 0 ? 0 : size] = 0;
    }
    if (block->trace) {
        armed = 0; /* writing the trace is no call of the command */
        raise(SIGUSR1);
        armed = 1;
    }
}

/* One call that changes files. Returns 1 if the call must fail, with errno set. *tear: whether half a write is due. */
static int
passing(const char *name, int *tear, int descriptor, const char *path)
{
    if (!armed)
        return 0;
    long number = __atomic_add_fetch(&block->count, 1, __ATOMIC_SEQ_CST);
    if (number <= MOST_NAMES)
        strncpy(block->names[number - 1], name, NAME_BYTES - 1);
    if (block->mode == COUNT || number < block->at || (number > block->at && block->mode != FAIL_FROM))
        return 0;
    if (number == block->at)
        note(descriptor, path);
    if (block->mode == KILL_TORN && tear != NULL) {
        *tear = 1;
        return 0;
    }
    switch (block->mode) {
    case KILL_ONE:
        kill(getpid(), SIGKILL);
        break;
    case KILL_BEFORE:
    case KILL_TORN:
        kill(0, SIGKILL);
        break;
    default:
        errno = block->number;
        return 1;
    }
    for (;;)
        pause();
}

static void
end(void)
{
    kill(0, SIGKILL);
    for (;;)
        pause();
}

static int
regular(int descriptor)
{
    struct stat found;
    return fstat(descriptor, &found) == 0 && S_ISREG(found.st_mode);
}

#define REAL(name) ((__typeof__(&name))real(#name))

static void *
real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* A call without more to it: NAME, its result's failure is -1. */
#define PLAIN(type, name, parameters, arguments, on, path)    \
    type name parameters                                      \
    {                                                         \
        static __typeof__(&name) next;                        \
        if (next == NULL)                                     \
            next = REAL(name);                                \
        if (passing(#name, NULL, on, path))                   \
            return (type)-1;                                  \
        return next arguments;                                \
    }

PLAIN(int, rename, (const char *old, const char *new), (old, new), -1, new)
PLAIN(int, renameat, (int a, const char *old, int b, const char *new), (a, old, b, new), -1, new)
PLAIN(int, renameat2, (int a, const char *old, int b, const char *new, unsigned flags), (a, old, b, new, flags), -1, new)
PLAIN(int, link, (const char *old, const char *new), (old, new), -1, new)
PLAIN(int, linkat, (int a, const char *old, int b, const char *new, int flags), (a, old, b, new, flags), -1, new)
PLAIN(int, symlink, (const char *old, const char *new), (old, new), -1, new)
PLAIN(int, symlinkat, (const char *old, int b, const char *new), (old, b, new), -1, new)
PLAIN(int, unlink, (const char *path), (path), -1, path)
PLAIN(int, unlinkat, (int a, const char *path, int flags), (a, path, flags), -1, path)
PLAIN(int, remove, (const char *path), (path), -1, path)
PLAIN(int, rmdir, (const char *path), (path), -1, path)
PLAIN(int, mkdir, (const char *path, mode_t mode), (path, mode), -1, path)
PLAIN(int, mkdirat, (int a, const char *path, mode_t mode), (a, path, mode), -1, path)
PLAIN(int, chmod, (const char *path, mode_t mode), (path, mode), -1, path)
PLAIN(int, fchmod, (int a, mode_t mode), (a, mode), a, NULL)
PLAIN(int, fchmodat, (int a, const char *path, mode_t mode, int flags), (a, path, mode, flags), -1, path)
PLAIN(int, chown, (const char *path, uid_t user, gid_t group), (path, user, group), -1, path)
PLAIN(int, fchown, (int a, uid_t user, gid_t group), (a, user, group), a, NULL)
PLAIN(int, lchown, (const char *path, uid_t user, gid_t group), (path, user, group), -1, path)
PLAIN(int, fchownat, (int a, const char *path, uid_t user, gid_t group, int flags), (a, path, user, group, flags), -1, path)
PLAIN(int, truncate, (const char *path, off_t length), (path, length), -1, path)
PLAIN(int, truncate64, (const char *path, off64_t length), (path, length), -1, path)
PLAIN(int, ftruncate, (int a, off_t length), (a, length), a, NULL)
PLAIN(int, ftruncate64, (int a, off64_t length), (a, length), a, NULL)
PLAIN(int, fallocate, (int a, int mode, off_t start, off_t length), (a, mode, start, length), a, NULL)
PLAIN(int, fallocate64, (int a, int mode, off64_t start, off64_t length), (a, mode, start, length), a, NULL)
PLAIN(int, utimensat, (int a, const char *path, const struct timespec times[2], int flags), (a, path, times, flags), -1, path)
PLAIN(int, futimens, (int a, const struct timespec times[2]), (a, times), a, NULL)
PLAIN(int, fsync, (int a), (a), a, NULL)
PLAIN(int, fdatasync, (int a), (a), a, NULL)
PLAIN(int, syncfs, (int a), (a), a, NULL)
PLAIN(int, sync_file_range, (int a, off64_t start, off64_t length, unsigned flags), (a, start, length, flags), a, NULL)

/* posix_fallocate tells by its result, not by errno. */
#define TELLING(name, offset)                                 \
    int name(int a, offset start, offset length)              \
    {                                                         \
        static __typeof__(&name) next;                        \
        if (next == NULL)                                     \
            next = REAL(name);                                \
        return passing(#name, NULL, a, NULL) ? errno : next(a, start, length); \
    }
TELLING(posix_fallocate, off_t)
TELLING(posix_fallocate64, off64_t)

/* ── open ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

#define NEEDS_MODE(flags) (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE)
#define CHANGES(flags) (NEEDS_MODE(flags) || ((flags) & O_TRUNC))

#define OPEN(name)                                            \
    int name(const char *path, int flags, ...)                \
    {                                                         \
        static __typeof__(&name) next;                        \
        mode_t mode = 0;                                      \
        if (next == NULL)                                     \
            next = REAL(name);                                \
        if (NEEDS_MODE(flags)) {                              \
            va_list more;                                     \
            va_start(more, flags);                            \
            mode = va_arg(more, mode_t);                      \
            va_end(more);                                     \
        }                                                     \
        if (CHANGES(flags) && passing(#name, NULL, -1, path))           \
            return -1;                                        \
        return next(path, flags, mode);                       \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                          \
    int name(int folder, const char *path, int flags, ...)    \
    {                                                         \
        static __typeof__(&name) next;                        \
        mode_t mode = 0;                                      \
        if (next == NULL)                                     \
            next = REAL(name);                                \
        if (NEEDS_MODE(flags)) {                              \
            va_list more;                                     \
            va_start(more, flags);                            \
            mode = va_arg(more, mode_t);                      \
            va_end(more);                                     \
        }                                                     \
        if (CHANGES(flags) && passing(#name, NULL, -1, path))           \
            return -1;                                        \
        return next(folder, path, flags, mode);               \
    }
OPENAT(openat)
OPENAT(openat64)

PLAIN(int, creat, (const char *path, mode_t mode), (path, mode), -1, path)
PLAIN(int, creat64, (const char *path, mode_t mode), (path, mode), -1, path)

/* ── bytes ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

#define BYTES(name, parameters, arguments, halved)            \
    ssize_t name parameters                                   \
    {                                                         \
        static __typeof__(&name) next;                        \
        int tear = 0;                                         \
        if (next == NULL)                                     \
            next = REAL(name);                                \
        if (!armed || !regular(target))             \
            return next arguments;                            \
        if (passing(#name, length > 1 ? &tear : NULL, target, NULL))        \
            return -1;                                        \
        if (tear) {                                           \
            next halved;                                      \
            end();                                            \
        }                                                     \
        return next arguments;                                \
    }
BYTES(write, (int target, const void *data, size_t length), (target, data, length), (target, data, length / 2))
BYTES(pwrite, (int target, const void *data, size_t length, off_t start), (target, data, length, start),
      (target, data, length / 2, start))
BYTES(pwrite64, (int target, const void *data, size_t length, off64_t start), (target, data, length, start),
      (target, data, length / 2, start))
BYTES(copy_file_range,
      (int source, off64_t *from, int target, off64_t *to, size_t length, unsigned flags),
      (source, from, target, to, length, flags), (source, from, target, to, length / 2, flags))
BYTES(sendfile, (int target, int source, off_t *from, size_t length), (target, source, from, length),
      (target, source, from, length / 2))
BYTES(sendfile64, (int target, int source, off64_t *from, size_t length), (target, source, from, length),
      (target, source, from, length / 2))

/* Of several pieces, the first half of them is what a torn write has done. */
#define PIECES(name, parameters, arguments, halved)           \
    ssize_t name parameters                                   \
    {                                                         \
        static __typeof__(&name) next;                        \
        int tear = 0;                                         \
        if (next == NULL)                                     \
            next = REAL(name);                                \
        if (!armed || !regular(target))             \
            return next arguments;                            \
        if (passing(#name, count > 1 ? &tear : NULL, target, NULL))         \
            return -1;                                        \
        if (tear) {                                           \
            next halved;                                      \
            end();                                            \
        }                                                     \
        return next arguments;                                \
    }
PIECES(writev, (int target, const struct iovec *pieces, int count), (target, pieces, count),
       (target, pieces, count / 2))
PIECES(pwritev, (int target, const struct iovec *pieces, int count, off_t start), (target, pieces, count, start),
       (target, pieces, count / 2, start))
PIECES(pwritev64, (int target, const struct iovec *pieces, int count, off64_t start), (target, pieces, count, start),
       (target, pieces, count / 2, start))

/* ── what is none of the above ─────────────────────────────────────────────────────────────────────────────────── */

#define CLONE 0x40049409UL       /* FICLONE */
#define CLONE_RANGE 0x4020940dUL /* FICLONERANGE */

int
ioctl(int descriptor, unsigned long request, ...)
{
    static __typeof__(&ioctl) next;
    va_list more;
    va_start(more, request);
    void *argument = va_arg(more, void *);
    va_end(more);
    if (next == NULL)
        next = REAL(ioctl);
    if ((request == CLONE || request == CLONE_RANGE) && passing("ioctl(FICLONE)", NULL, descriptor, NULL))
        return -1;
    return next(descriptor, request, argument);
}

/* Memory that is written back to a file would be a change that no call shows: it is told, and the tests refuse it. */
#define MAP(name, offset)                                                                                  \
    void *name(void *address, size_t length, int protection, int flags, int descriptor, offset start)      \
    {                                                                                                      \
        static __typeof__(&name) next;                                                                     \
        if (next == NULL)                                                                                  \
            next = REAL(name);                                                                             \
        if (descriptor >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE) && armed &&               \
            passing("mmap(shared)", NULL, descriptor, NULL))                                                                 \
            return MAP_FAILED;                                                                             \
        return next(address, length, protection, flags, descriptor, start);                                \
    }
MAP(mmap, off_t)
MAP(mmap64, off64_t)
