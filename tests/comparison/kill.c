/* Preloaded into a command and all that it starts: counts the calls that change files in a file that they share, and
 * before the chosen one kills the whole process group. COMPARE_COUNTER names the file, COMPARE_KILL_AT the call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static long *counter, at;

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("COMPARE_COUNTER"), *chosen = getenv("COMPARE_KILL_AT");
    int file = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    long *found = mmap(NULL, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    at = chosen ? atol(chosen) : 0;
    counter = found == MAP_FAILED ? NULL : found;
}

static void pass(void)
{
    if (counter && __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST) == at)
        for (kill(0, SIGKILL);;)
            pause();
}

#define CALL(type, name, parameters, arguments)      \
    type name parameters                             \
    {                                                \
        static __typeof__(&name) next;               \
        if (!next)                                   \
            next = dlsym(RTLD_NEXT, #name);          \
        pass();                                      \
        return next arguments;                       \
    }

CALL(int, rename, (const char *a, const char *b), (a, b))
CALL(int, renameat, (int x, const char *a, int y, const char *b), (x, a, y, b))
CALL(int, renameat2, (int x, const char *a, int y, const char *b, unsigned f), (x, a, y, b, f))
CALL(int, link, (const char *a, const char *b), (a, b))
CALL(int, linkat, (int x, const char *a, int y, const char *b, int f), (x, a, y, b, f))
CALL(int, symlink, (const char *a, const char *b), (a, b))
CALL(int, symlinkat, (const char *a, int y, const char *b), (a, y, b))
CALL(int, unlink, (const char *a), (a))
CALL(int, unlinkat, (int x, const char *a, int f), (x, a, f))
CALL(int, rmdir, (const char *a), (a))
CALL(int, mkdir, (const char *a, mode_t m), (a, m))
CALL(int, mkdirat, (int x, const char *a, mode_t m), (x, a, m))
CALL(int, chmod, (const char *a, mode_t m), (a, m))
CALL(int, fchmod, (int x, mode_t m), (x, m))
CALL(int, ftruncate64, (int x, off64_t l), (x, l))
CALL(ssize_t, pwrite64, (int x, const void *b, size_t n, off64_t o), (x, b, n, o))
CALL(ssize_t, sendfile64, (int x, int y, off64_t *o, size_t n), (x, y, o, n))
CALL(ssize_t, copy_file_range, (int x, off64_t *a, int y, off64_t *b, size_t n, unsigned f), (x, a, y, b, n, f))

ssize_t write(int x, const void *b, size_t n)
{
    static __typeof__(&write) next;
    struct stat found;
    if (!next)
        next = dlsym(RTLD_NEXT, "write");
    if (counter && fstat(x, &found) == 0 && S_ISREG(found.st_mode))
        pass();
    return next(x, b, n);
}

#define OPEN(name, before, given)                                  \
    int name(before const char *path, int flags, ...)              \
    {                                                              \
        static __typeof__(&name) next;                             \
        if (!next)                                                 \
            next = dlsym(RTLD_NEXT, #name);                        \
        mode_t mode = 0;                                           \
        if (flags & (O_CREAT | __O_TMPFILE)) {                     \
            va_list more;                                          \
            va_start(more, flags);                                 \
            mode = va_arg(more, mode_t);                           \
            va_end(more);                                          \
        }                                                          \
        if (flags & (O_CREAT | O_TRUNC | __O_TMPFILE))             \
            pass();                                                \
        return next(given path, flags, mode);                      \
    }
#define COMMA ,
OPEN(open, , )
OPEN(open64, , )
OPEN(openat, int x COMMA, x COMMA)
OPEN(openat64, int x COMMA, x COMMA)
