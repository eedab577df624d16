/* What this machine can do with a tree of files, in plain system calls: "limits stat|read|link|create SOURCE [TARGET]".
   Prints seconds. TARGET must not exist. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 20 };
static char buffer[BUFFER];
static char mode;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void read_all(int folder, const char *name) {
    int file = openat(folder, name, O_RDONLY);
    if (file < 0) fail(name);
    ssize_t got;
    while ((got = read(file, buffer, BUFFER)) > 0)
        ;
    if (got < 0) fail(name);
    close(file);
}

static void create(int folder, const char *name, off_t size) {
    int file = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (file < 0) fail(name);
    while (size > 0) {
        ssize_t put = write(file, buffer, size < BUFFER ? (size_t)size : BUFFER);
        if (put < 0) fail(name);
        size -= put;
    }
    close(file);
}

static void visit(int source, int target) {
    DIR *stream = fdopendir(source);
    if (!stream) fail("fdopendir");
    for (struct dirent *entry; (entry = readdir(stream));) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
        if (entry->d_type == DT_DIR) {
            int inner = openat(source, name, O_RDONLY | O_DIRECTORY), made = -1;
            if (target >= 0) {
                if (mkdirat(target, name, 0755)) fail(name);
                made = openat(target, name, O_RDONLY | O_DIRECTORY);
            }
            visit(inner, made);
            continue;
        }
        struct stat found;
        if (mode != 'r' && fstatat(source, name, &found, AT_SYMLINK_NOFOLLOW)) fail(name);
        if (mode == 'r') read_all(source, name);
        if (mode == 'c') create(target, name, found.st_size);
        if (mode == 'l' && linkat(source, name, target, name, 0)) fail(name);
    }
    closedir(stream);
    if (target >= 0) close(target);
}

int main(int count, char **words) {
    if (count < 3) return 2;
    mode = words[1][0];
    for (int i = 0; i < BUFFER; i++) buffer[i] = (char)(i * 2654435761u >> 13);
    int source = open(words[2], O_RDONLY | O_DIRECTORY), target = -1;
    if (source < 0) fail(words[2]);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    if (count > 3) {
        if (mkdir(words[3], 0755)) fail(words[3]);
        target = open(words[3], O_RDONLY | O_DIRECTORY);
    }
    visit(source, target);
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%.6f\n", (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
    return 0;
}
