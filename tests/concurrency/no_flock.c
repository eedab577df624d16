/* A file system without kernel locks: flock fails with the number in KIST_TEST_NO_FLOCK. */
#include <errno.h>
#include <stdlib.h>

int flock(int descriptor, int operation)
{
    const char *number = getenv("KIST_TEST_NO_FLOCK");

    (void)descriptor;
    (void)operation;
    errno = number ? atoi(number) : ENOLCK;
    return -1;
}
