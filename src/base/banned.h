#pragma once

/*
 * Functions that do not compile in src/: unbounded, not thread-safe, locale-bound, or behind a
 * door of ours (memory: base/alloc.h; clocks, randomness, files: io/). The build includes this
 * file before everything else. rand and srand are left to tools/tidy: headers of OpenSSL have
 * parameters of that name.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf gets strncpy strncat strtok
#pragma GCC poison atoi atol atoll atof setjmp longjmp
#pragma GCC poison asctime ctime localtime gmtime tmpnam
