/* The inner loops of kist over files, as kist.abc.Kernel describes them.

   Functions for open folders and plain names in them, and one that hashes many buffers. System calls and hashing run
   without the interpreter's lock; several folders are listed in several threads, which end with the call. No symbolic
   link is ever followed and nothing blocks on a FIFO. Written for the stable ABI of Python 3.11, so that one build
   serves that version and all later ones. */

#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* O_NOATIME */
#endif
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#if defined(__linux__)
#include <sched.h>
#endif
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blake3_many.h"

#define FIELDS 4
#define STAT_BYTES (FIELDS * sizeof(int64_t))
#define READ_LIMIT ((int64_t)64 << 20)
#define SCRATCH (64 * 1024)
#define LARGEST_WRITE ((size_t)1 << 30)

#define READ_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define CREATE_FLAGS (O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC)

#if defined(__APPLE__)
#define MTIME st_mtimespec
#define CTIME st_ctimespec
#else
#define MTIME st_mtim
#define CTIME st_ctim
#endif

/* ── stats ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static int64_t
nanoseconds(const struct timespec *time)
{
    /* Unsigned, because some files come from the year 3000: then it wraps, as in the pure kernel. */
    return (int64_t)((uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_nsec);
}

static void
put_stats(int64_t *row, const struct stat *found)
{
    row[0] = (int64_t)found->st_size;
    row[1] = nanoseconds(&found->MTIME);
    row[2] = nanoseconds(&found->CTIME);
    row[3] = (int64_t)found->st_ino;
}

static char
kind_of(mode_t mode)
{
    if (S_ISREG(mode))
        return mode & S_IXUSR ? 'x' : 'f';
    if (S_ISDIR(mode))
        return 's';
    return S_ISLNK(mode) ? 'l' : 'o';
}

static PyObject *
os_error(int number, PyObject *name)
{
    errno = number;
    return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, name);
}

/* ── threads ───────────────────────────────────────────────────────────────────────────────────────────────────── */

#define MOST_THREADS 8

/* So many tasks, numbered from 0, each done once by whichever thread comes to it. */
typedef struct {
    void (*run)(void *given, size_t number);
    void *given;
    size_t count, next;
} Tasks;

static int
processors(void)
{
#if defined(__linux__)
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        return CPU_COUNT(&allowed);
#endif
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (int)count;
}

static void *
work(void *given)
{
    Tasks *tasks = given;
    size_t number;
    while ((number = __atomic_fetch_add(&tasks->next, 1, __ATOMIC_RELAXED)) < tasks->count)
        tasks->run(tasks->given, number);
    return NULL;
}

/* Do tasks in this thread and in as many others as there are processors for; what cannot be started is not missed. */
static void
in_threads(Tasks *tasks)
{
    pthread_t others[MOST_THREADS];
    int wanted = processors(), started = 0;
    sigset_t all, before;
    sigfillset(&all);
    if ((size_t)wanted > tasks->count)
        wanted = (int)tasks->count;
    if (wanted > MOST_THREADS)
        wanted = MOST_THREADS;
    if (wanted > 1 && pthread_sigmask(SIG_SETMASK, &all, &before) == 0) { /* signals are for the interpreter's threads */
        while (started < wanted - 1 && pthread_create(&others[started], NULL, work, tasks) == 0)
            started++;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    work(tasks);
    while (started > 0)
        pthread_join(others[--started], NULL);
}

/* ── list_directory, list_directories ──────────────────────────────────────────────────────────────────────────── */

typedef struct {
    uint64_t head; /* the first eight bytes of the sort key, which nearly always decide */
    size_t at;     /* where the name begins in the arena */
    const char *name;
    uint32_t length;
    char kind;
    int64_t stats[FIELDS];
} Entry;

typedef struct {
    Entry *entries;
    size_t count, room;
    char *arena;
    size_t used, size;
} Found;

static int
grow(void **block, size_t *room, size_t wanted, size_t item)
{
    if (wanted <= *room)
        return 0;
    size_t more = *room ? *room * 2 : 256;
    while (more < wanted)
        more *= 2;
    void *bigger = realloc(*block, more * item);
    if (bigger == NULL)
        return ENOMEM;
    *block = bigger;
    *room = more;
    return 0;
}

static int
keep(Found *found, const char *name, char kind)
{
    size_t length = strlen(name);
    if (grow((void **)&found->entries, &found->room, found->count + 1, sizeof(Entry)) ||
        grow((void **)&found->arena, &found->size, found->used + length + 1, 1))
        return ENOMEM;
    Entry *entry = &found->entries[found->count++];
    memset(entry, 0, sizeof *entry);
    entry->at = found->used;
    entry->length = (uint32_t)length;
    entry->kind = kind;
    memcpy(found->arena + found->used, name, length + 1);
    found->used += length + 1;
    return 0;
}

static int
read_names(int directory, Found *found)
{
    int own = fcntl(directory, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return errno;
    DIR *stream = fdopendir(own);
    if (stream == NULL) {
        int number = errno;
        close(own);
        return number;
    }
    rewinddir(stream); /* the position belongs to all descriptors of this open folder */
    int number = 0;
    for (;;) {
        errno = 0;
        const struct dirent *one = readdir(stream);
        if (one == NULL) {
            number = errno;
            break;
        }
        const char *name = one->d_name;
        if (name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0)))
            continue;
        /* A folder needs no stat: its stats are zeros. Everything else is asked. */
        number = keep(found, name, one->d_type == DT_DIR ? 's' : 0);
        if (number)
            break;
    }
    rewinddir(stream);
    closedir(stream);
    return number;
}

static uint64_t
head_of(const Entry *entry)
{
    uint64_t head = 0;
    for (uint32_t at = 0; at < 8; at++) {
        unsigned char byte = 0;
        if (at < entry->length)
            byte = (unsigned char)entry->name[at];
        else if (at == entry->length && entry->kind == 's')
            byte = '/';
        head = head << 8 | byte;
    }
    return head;
}

static int
by_key(const void *left, const void *right)
{
    const Entry *a = left, *b = right;
    if (a->head != b->head)
        return a->head < b->head ? -1 : 1;
    uint32_t shorter = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->name, b->name, shorter);
    if (order)
        return order;
    /* No name holds '/' or NUL: at their ends a folder counts as '/', a file as less than any byte. */
    int after_a = a->length > shorter ? (unsigned char)a->name[shorter] : a->kind == 's' ? '/' : -1;
    int after_b = b->length > shorter ? (unsigned char)b->name[shorter] : b->kind == 's' ? '/' : -1;
    return after_a - after_b;
}

/* Stat all that is no folder, leave out what is gone, and sort. Returns an errno; *failed is then the entry. */
static int
look(int directory, Found *found, size_t *failed)
{
    size_t kept = 0;
    int asked = 0;
    for (size_t at = 0; at < found->count; at++) {
        Entry *entry = &found->entries[at];
        entry->name = found->arena + entry->at;
        /* Where all are folders one is asked nevertheless: a folder that may be read but not searched is an error. */
        if (entry->kind == 0 || (!asked && at + 1 == found->count)) {
            struct stat now;
            asked = 1;
            if (fstatat(directory, entry->name, &now, AT_SYMLINK_NOFOLLOW) < 0) {
                if (errno == ENOENT)
                    continue;
                *failed = at;
                return errno;
            }
            entry->kind = kind_of(now.st_mode);
            if (entry->kind != 's')
                put_stats(entry->stats, &now);
        }
        entry->head = head_of(entry);
        if (kept != at)
            found->entries[kept] = *entry;
        kept++;
    }
    found->count = kept;
    if (kept)
        qsort(found->entries, kept, sizeof(Entry), by_key);
    return 0;
}

static PyObject *
as_columns(const Found *found)
{
    Py_ssize_t count = (Py_ssize_t)found->count;
    PyObject *names = PyList_New(count);
    PyObject *kinds = PyBytes_FromStringAndSize(NULL, count);
    PyObject *stats = PyBytes_FromStringAndSize(NULL, count * (Py_ssize_t)STAT_BYTES);
    if (names == NULL || kinds == NULL || stats == NULL)
        goto failed;
    char *kind = PyBytes_AsString(kinds), *row = PyBytes_AsString(stats);
    for (Py_ssize_t at = 0; at < count; at++) {
        const Entry *entry = &found->entries[at];
        PyObject *name = PyBytes_FromStringAndSize(entry->name, entry->length);
        if (name == NULL)
            goto failed;
        PyList_SetItem(names, at, name);
        kind[at] = entry->kind;
        memcpy(row + (size_t)at * STAT_BYTES, entry->stats, STAT_BYTES);
    }
    return Py_BuildValue("(NNN)", names, kinds, stats);
failed:
    Py_XDECREF(names);
    Py_XDECREF(kinds);
    Py_XDECREF(stats);
    return NULL;
}

/* One folder to list, and what came of it: an errno, and the entry that it is about if the names were read. */
typedef struct {
    int directory, number, looked;
    size_t failed;
    Found found;
} Folder;

static void
list_one(void *given, size_t at)
{
    Folder *folder = (Folder *)given + at;
    folder->number = read_names(folder->directory, &folder->found);
    if (folder->number == 0) {
        folder->looked = 1;
        folder->number = look(folder->directory, &folder->found, &folder->failed);
    }
}

static void
forget(Folder *folder)
{
    free(folder->found.entries);
    free(folder->found.arena);
}

PyDoc_STRVAR(list_directory_doc,
             "list_directory(directory, /)\n--\n\n"
             "Names, kinds and the bytes of the stats of one open folder, in the order of a listing.");

static PyObject *
list_directory(PyObject *Py_UNUSED(module), PyObject *argument)
{
    Folder folder = {.directory = PyObject_AsFileDescriptor(argument)};
    if (folder.directory < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    list_one(&folder, 0);
    Py_END_ALLOW_THREADS
    PyObject *result = NULL;
    if (folder.number == ENOMEM)
        PyErr_NoMemory();
    else if (folder.number == 0)
        result = as_columns(&folder.found);
    else if (!folder.looked)
        os_error(folder.number, argument);
    else {
        PyObject *name = PyBytes_FromString(folder.found.entries[folder.failed].name);
        if (name != NULL) {
            os_error(folder.number, name);
            Py_DECREF(name);
        }
    }
    forget(&folder);
    return result;
}

PyDoc_STRVAR(list_directories_doc,
             "list_directories(directories, /)\n--\n\n"
             "The same of several open folders, listed in threads; None for one that list_directory fails for.");

static PyObject *
list_directories(PyObject *Py_UNUSED(module), PyObject *argument)
{
    PyObject *given = PySequence_Tuple(argument), *result = NULL;
    if (given == NULL)
        return NULL;
    Py_ssize_t count = PyTuple_Size(given);
    Folder *folders = calloc(count ? (size_t)count : 1, sizeof(Folder));
    if (folders == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t at = 0; at < count; at++) {
        folders[at].directory = PyObject_AsFileDescriptor(PyTuple_GetItem(given, at));
        if (folders[at].directory < 0)
            goto done;
    }
    Tasks tasks = {.run = list_one, .given = folders, .count = (size_t)count};
    Py_BEGIN_ALLOW_THREADS
    in_threads(&tasks);
    Py_END_ALLOW_THREADS
    result = PyList_New(count);
    for (Py_ssize_t at = 0; result != NULL && at < count; at++) {
        PyObject *columns = Py_None;
        if (folders[at].number == 0)
            columns = as_columns(&folders[at].found);
        else
            Py_INCREF(columns);
        if (columns == NULL)
            Py_CLEAR(result);
        else
            PyList_SetItem(result, at, columns);
    }
done:
    for (Py_ssize_t at = 0; folders != NULL && at < count; at++)
        forget(&folders[at]);
    free(folders);
    Py_DECREF(given);
    return result;
}

/* ── read_small ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Read a file of *size* bytes, and one more where it has grown; fewer only at its end. Returns -1 with errno set.

   What brings all but that one more byte is the last read: a look for the end would cost every file a call. */
static ssize_t
read_fully(int descriptor, char *buffer, size_t size)
{
    size_t done = 0;
    do {
        ssize_t count = read(descriptor, buffer + done, size + 1 - done);
        if (count < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        if (count == 0)
            break;
        done += (size_t)count;
    } while (done < size);
    return (ssize_t)done;
}

static int
open_again(int directory, const char *name, int flags, mode_t mode)
{
    int descriptor;
    do
        descriptor = openat(directory, name, flags, mode);
    while (descriptor < 0 && errno == EINTR);
    return descriptor;
}

#ifdef O_NOATIME
static int noatime = O_NOATIME; /* until a file turns up that is somebody else's */
#endif

/* Open a file to read it, where possible without noting the time: the first look at each new file would else make the
   disk write its inode once more. The system grants that to the owner of a file only. */
static int
open_to_read(int directory, const char *name)
{
#ifdef O_NOATIME
    int quiet = noatime;
    if (quiet) {
        int descriptor = open_again(directory, name, READ_FLAGS | quiet, 0);
        if (descriptor >= 0 || errno != EPERM)
            return descriptor;
        noatime = 0;
    }
#endif
    return open_again(directory, name, READ_FLAGS, 0);
}

/* What a link, a socket, a folder or a device without a driver says: then it is no regular file. */
static int
not_regular(int number)
{
    return number == ELOOP || number == EMLINK || number == ENXIO || number == ENODEV || number == EISDIR;
}

#define GOOD (-1)

/* Open a file and look at it. Returns its descriptor, or -1 with *why: an errno, 0 for no regular file. */
static int
open_file(int directory, const char *name, int64_t *row, int *why)
{
    int descriptor = open_to_read(directory, name);
    if (descriptor < 0) {
        *why = not_regular(errno) ? 0 : errno;
        return -1;
    }
    struct stat before;
    *why = GOOD;
    if (fstat(descriptor, &before) < 0)
        *why = errno;
    else if (!S_ISREG(before.st_mode))
        *why = 0;
    else if (before.st_size > READ_LIMIT)
        *why = EFBIG;
    if (*why != GOOD) {
        close(descriptor);
        return -1;
    }
    put_stats(row, &before);
    return descriptor;
}

/* Read an open file whole and close it: GOOD, an errno, or 0 if it is not what it was when it was opened.

   One byte more than the size is asked for, so that growth shows; *buffer* has room for it. */
static int
read_file(int descriptor, char *buffer, const int64_t *row)
{
    struct stat after;
    int64_t now[FIELDS];
    int why = GOOD;
    ssize_t count = read_fully(descriptor, buffer, (size_t)row[0]);
    if (count < 0 || fstat(descriptor, &after) < 0)
        why = errno;
    else {
        put_stats(now, &after);
        if (count != row[0] || memcmp(now, row, STAT_BYTES) != 0)
            why = 0;
    }
    close(descriptor);
    return why;
}

/* The content of one file as bytes, or NULL with *why set (or GOOD, and a Python error is set). */
static PyObject *
content_of(int directory, const char *name, char *scratch, int64_t *row, int *why)
{
    int descriptor;
    Py_BEGIN_ALLOW_THREADS
    descriptor = open_file(directory, name, row, why);
    if (descriptor >= 0 && row[0] < SCRATCH)
        *why = read_file(descriptor, scratch, row);
    Py_END_ALLOW_THREADS
    if (*why != GOOD)
        return NULL;
    if (row[0] < SCRATCH)
        return PyBytes_FromStringAndSize(scratch, (Py_ssize_t)row[0]);
    /* The bytes of a larger file are read into their object. The byte that shows growth is where an object keeps its
       terminating NUL, so that it has to be put back. */
    PyObject *content = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)row[0]);
    if (content == NULL) {
        close(descriptor);
        return NULL;
    }
    char *buffer = PyBytes_AsString(content);
    Py_BEGIN_ALLOW_THREADS
    *why = read_file(descriptor, buffer, row);
    Py_END_ALLOW_THREADS
    buffer[row[0]] = 0;
    if (*why == GOOD)
        return content;
    Py_DECREF(content);
    return NULL;
}

static int
note_failure(PyObject *failed, Py_ssize_t at, int why)
{
    PyObject *position = PyLong_FromSsize_t(at), *number = PyLong_FromLong(why);
    int code = position == NULL || number == NULL ? -1 : PyDict_SetItem(failed, position, number);
    Py_XDECREF(position);
    Py_XDECREF(number);
    return code;
}

PyDoc_STRVAR(read_small_doc,
             "read_small(directory, names, /)\n--\n\n"
             "Contents (None where it failed), the bytes of the stats, and position -> errno of what failed.");

static PyObject *
read_small(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    int directory;
    PyObject *given;
    if (!PyArg_ParseTuple(arguments, "iO:read_small", &directory, &given))
        return NULL;
    PyObject *names = PySequence_Tuple(given);
    if (names == NULL)
        return NULL;
    Py_ssize_t count = PyTuple_Size(names);
    char *scratch = malloc(SCRATCH);
    PyObject *contents = PyList_New(count), *failed = PyDict_New();
    PyObject *stats = PyBytes_FromStringAndSize(NULL, count * (Py_ssize_t)STAT_BYTES);
    if (scratch == NULL || contents == NULL || failed == NULL || stats == NULL)
        goto failed;
    char *rows = PyBytes_AsString(stats);
    for (Py_ssize_t at = 0; at < count; at++) {
        char *name;
        int64_t row[FIELDS];
        int why = GOOD;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(names, at), &name, NULL) < 0)
            goto failed;
        PyObject *content = content_of(directory, name, scratch, row, &why);
        if (content == NULL) {
            if (why == GOOD || note_failure(failed, at, why) < 0)
                goto failed;
            memset(row, 0, STAT_BYTES);
            Py_INCREF(Py_None);
            content = Py_None;
        }
        PyList_SetItem(contents, at, content);
        memcpy(rows + (size_t)at * STAT_BYTES, row, STAT_BYTES);
    }
    free(scratch);
    Py_DECREF(names);
    return Py_BuildValue("(NNN)", contents, stats, failed);
failed:
    if (scratch == NULL && !PyErr_Occurred())
        PyErr_NoMemory();
    free(scratch);
    Py_DECREF(names);
    Py_XDECREF(contents);
    Py_XDECREF(failed);
    Py_XDECREF(stats);
    return NULL;
}

/* ── write_small ───────────────────────────────────────────────────────────────────────────────────────────────── */

typedef struct {
    char *name;
    char *data;
    Py_ssize_t length;
} Job;

static int
write_fully(int descriptor, const char *data, size_t length)
{
    size_t done = 0;
    while (done < length) {
        size_t part = length - done < LARGEST_WRITE ? length - done : LARGEST_WRITE;
        ssize_t count = write(descriptor, data + done, part);
        if (count < 0) {
            if (errno == EINTR)
                continue;
            return errno;
        }
        done += (size_t)count;
    }
    return 0;
}

/* Create one file. Returns an errno; then nothing of it is left. */
static int
create_file(int directory, const Job *job, int executable, char *row)
{
    int descriptor = open_again(directory, job->name, CREATE_FLAGS, executable ? 0777 : 0666);
    if (descriptor < 0)
        return errno;
    struct stat found;
    int number = write_fully(descriptor, job->data, (size_t)job->length);
    if (number == 0 && fstat(descriptor, &found) < 0)
        number = errno;
    /* Some file systems tell only here that the disk is full. */
    if (close(descriptor) < 0 && number == 0 && errno != EINTR)
        number = errno;
    if (number) {
        unlinkat(directory, job->name, 0);
        return number;
    }
    int64_t values[FIELDS];
    put_stats(values, &found);
    memcpy(row, values, STAT_BYTES);
    return 0;
}

/* The pointers of all names and contents, which the tuples keep alive. */
static Job *
jobs_of(PyObject *names, PyObject *contents, Py_ssize_t count)
{
    Job *jobs = malloc(count ? (size_t)count * sizeof(Job) : 1);
    if (jobs == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t at = 0; at < count; at++) {
        Job *job = &jobs[at];
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(names, at), &job->name, NULL) < 0 ||
            PyBytes_AsStringAndSize(PyTuple_GetItem(contents, at), &job->data, &job->length) < 0) {
            free(jobs);
            return NULL;
        }
    }
    return jobs;
}

PyDoc_STRVAR(write_small_doc,
             "write_small(directory, names, contents, executable, /)\n--\n\n"
             "Create new files; the bytes of their stats.");

static PyObject *
write_small(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    int directory;
    PyObject *given_names, *given_contents, *result = NULL, *stats = NULL;
    const char *executable;
    Py_ssize_t flags;
    if (!PyArg_ParseTuple(arguments, "iOOy#:write_small", &directory, &given_names, &given_contents, &executable,
                          &flags))
        return NULL;
    PyObject *names = PySequence_Tuple(given_names), *contents = PySequence_Tuple(given_contents);
    Job *jobs = NULL;
    if (names == NULL || contents == NULL)
        goto done;
    Py_ssize_t count = PyTuple_Size(names);
    if (PyTuple_Size(contents) != count || flags != count) {
        PyErr_SetString(PyExc_ValueError, "names, contents and executable differ in length");
        goto done;
    }
    jobs = jobs_of(names, contents, count);
    stats = PyBytes_FromStringAndSize(NULL, count * (Py_ssize_t)STAT_BYTES);
    if (jobs == NULL || stats == NULL)
        goto done;
    char *rows = PyBytes_AsString(stats);
    Py_ssize_t at;
    int number = 0;
    Py_BEGIN_ALLOW_THREADS
    for (at = 0; at < count; at++) {
        number = create_file(directory, &jobs[at], executable[at] != 0, rows + (size_t)at * STAT_BYTES);
        if (number)
            break;
    }
    Py_END_ALLOW_THREADS
    if (number)
        os_error(number, PyTuple_GetItem(names, at));
    else {
        result = stats;
        stats = NULL;
    }
done:
    free(jobs);
    Py_XDECREF(stats);
    Py_XDECREF(names);
    Py_XDECREF(contents);
    return result;
}

/* ── blake3_many ───────────────────────────────────────────────────────────────────────────────────────────────── */

PyDoc_STRVAR(blake3_many_doc,
             "blake3_many(buffers, lanes=16, /)\n--\n\n"
             "The BLAKE3 digests of many buffers, joined. Of *lanes* no more are used than the processor has.");

static PyObject *
blake3_many(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *given, *result = NULL;
    int lanes = WIDEST;
    if (!PyArg_ParseTuple(arguments, "O|i:blake3_many", &given, &lanes))
        return NULL;
    PyObject *sequence = PySequence_Tuple(given);
    if (sequence == NULL)
        return NULL;
    Py_ssize_t count = PyTuple_Size(sequence), held = 0;
    size_t room = count ? (size_t)count : 1;
    Py_buffer *views = malloc(room * sizeof(Py_buffer));
    Buffer *buffers = malloc(room * sizeof(Buffer));
    if (views == NULL || buffers == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (; held < count; held++) {
        if (PyObject_GetBuffer(PyTuple_GetItem(sequence, held), &views[held], PyBUF_SIMPLE) < 0)
            goto done;
        buffers[held].data = views[held].buf;
        buffers[held].length = (size_t)views[held].len;
    }
    result = PyBytes_FromStringAndSize(NULL, count * DIGEST);
    if (result == NULL)
        goto done;
    uint8_t *digests = (uint8_t *)PyBytes_AsString(result);
    int failed;
    Py_BEGIN_ALLOW_THREADS
    failed = blake3_hash(buffers, (size_t)count, digests, lanes);
    Py_END_ALLOW_THREADS
    if (failed) {
        Py_CLEAR(result);
        PyErr_NoMemory();
    }
done:
    while (held > 0)
        PyBuffer_Release(&views[--held]);
    free(views);
    free(buffers);
    Py_DECREF(sequence);
    return result;
}

/* ── the module ────────────────────────────────────────────────────────────────────────────────────────────────── */

static PyMethodDef functions[] = {
    {"list_directory", list_directory, METH_O, list_directory_doc},
    {"list_directories", list_directories, METH_O, list_directories_doc},
    {"read_small", read_small, METH_VARARGS, read_small_doc},
    {"write_small", write_small, METH_VARARGS, write_small_doc},
    {"blake3_many", blake3_many, METH_VARARGS, blake3_many_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "kist_accel.native",
    .m_doc = "The inner loops of kist over files.",
    .m_size = 0,
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit_native(void)
{
    return PyModuleDef_Init(&definition);
}
